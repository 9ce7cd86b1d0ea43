//! Other notations.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{Args, Datum, Function};
use crate::{go_yaml, yaml};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("b64dec", |args| {
        let bytes = STANDARD
            .decode(args.text(0)?)
            .map_err(|error| format!("not base64: {error}"))?;
        String::from_utf8(bytes)
            .map(Datum::text)
            .map_err(|_| "what is encoded is no text".to_owned())
    }),
    ("b64enc", |args| Ok(Datum::text(STANDARD.encode(args.text(0)?)))),
    ("fromJson", |args| {
        let value: serde_json::Value =
            serde_json::from_str(args.text(0)?).map_err(|error| format!("not JSON: {error}"))?;
        Ok(Datum::from(&value))
    }),
    ("fromYaml", |args| {
        let value = yaml::read(args.text(0)?).map_err(|error| format!("not YAML: {error}"))?;
        Ok(Datum::from(&value))
    }),
    ("sha256sum", |args| Ok(Datum::text(sha256(args.text(0)?)))),
    ("toJson", to_json),
    ("toYaml", |args| {
        Ok(Datum::text(go_yaml::to_yaml(&args.get(0)?.to_json())))
    }),
];

fn to_json(args: &Args<'_>) -> Result<Datum, String> {
    let text = args.get(0)?.to_json().to_string();
    // Go writes these so that JSON can stand in HTML
    Ok(Datum::text(
        text.replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026"),
    ))
}

/// The digest of a text, in hexadecimal digits.
fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
