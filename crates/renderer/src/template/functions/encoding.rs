//! Other notations.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{Args, Datum, Entry};
use crate::{go_yaml, yaml};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("b64dec", 1..=1, |args| {
        let bytes = STANDARD
            .decode(args.text(0)?)
            .map_err(|error| format!("not base64: {error}"))?;
        String::from_utf8(bytes)
            .map(Datum::text)
            .map_err(|_| "what is encoded is no text".to_owned())
    }),
    ("b64enc", 1..=1, |args| {
        Ok(Datum::text(STANDARD.encode(args.text(0)?)))
    }),
    ("fromJson", 1..=1, |args| {
        let value = serde_json::from_str(args.text(0)?).map_err(|error| format!("not JSON: {error}"))?;
        map_of(args, &value)
    }),
    ("fromYaml", 1..=1, |args| {
        let value = yaml::read(args.text(0)?).map_err(|error| format!("not YAML: {error}"))?;
        map_of(args, &value)
    }),
    ("sha256sum", 1..=1, |args| Ok(Datum::text(sha256(args.text(0)?)))),
    ("toJson", 1..=1, to_json),
    ("toYaml", 1..=1, |args| {
        Ok(Datum::text(go_yaml::to_yaml(&args.get(0).to_json())))
    }),
];

/// What was read, which has to be a map; nothing is an empty one.
fn map_of(args: &Args<'_>, value: &serde_json::Value) -> Result<Datum, String> {
    match Datum::from(value) {
        nil if nil.is_nil() => Ok(Datum::map([])),
        map @ Datum::Map(_) => Ok(map),
        other => Err(format!("`{}` reads a map, not a {}", args.name, other.kind())),
    }
}

fn to_json(args: &Args<'_>) -> Result<Datum, String> {
    let text = args.get(0).to_json().to_string();
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
