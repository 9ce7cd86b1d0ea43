//! From what a client sends to the canonical form of its kind: wrong types are refused, unknown
//! fields are found.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use crate::{
    meta,
    quantity::{Quantity, RULE},
    registry::Kind,
    status::{ApiError, ApiResult},
};

/// What to do with fields that the kind does not know: the `fieldValidation` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so in a `Warning` header.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    pub(crate) fn parse(text: Option<&str>) -> ApiResult<Self> {
        match text {
            None | Some("" | "Warn") => Ok(Self::Warn),
            Some("Ignore") => Ok(Self::Ignore),
            Some("Strict") => Ok(Self::Strict),
            Some(other) => Err(ApiError::bad_request(format!(
                "invalid fieldValidation {other:?}: allowed are Ignore, Strict, Warn"
            ))),
        }
    }
}

/// The canonical form of an object, and the unknown fields that it lost.
///
/// # Errors
/// 400 when the object does not have the types of its kind, or has unknown fields and `validation`
/// is strict.
pub(crate) fn decode(
    kind: &'static Kind,
    mut object: Value,
    validation: FieldValidation,
) -> ApiResult<(Value, Vec<String>)> {
    check_type_meta(kind, &mut object)?;
    normalize_quantities(&mut object)?;
    let mut canonical = (kind.canonical)(&object).map_err(|error| {
        let why = error.to_string();
        // the words of the decoder of base64 are its own
        let why = match why.split_once(", offset ") {
            Some((_, offset)) => format!(
                "illegal base64 data at input byte {}",
                offset.trim_end_matches('.')
            ),
            None => why,
        };
        ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            kind.kind, kind.version, kind.kind
        ))
    })?;
    let mut unknown = Vec::new();
    if validation != FieldValidation::Ignore {
        find_unknown(&object, &canonical, "", &mut unknown);
    }
    drop_empty_metadata(&mut canonical);
    if kind.is("Secret") {
        encode_texts(&mut canonical);
    }
    canonical["apiVersion"] = kind.api_version().into();
    canonical["kind"] = kind.kind.into();
    if validation == FieldValidation::Strict && !unknown.is_empty() {
        let list: Vec<String> = unknown
            .iter()
            .map(|path| format!("unknown field {path:?}"))
            .collect();
        return Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            kind.kind,
            kind.version,
            kind.kind,
            list.join(", ")
        )));
    }
    Ok((canonical, unknown))
}

fn check_type_meta(kind: &Kind, object: &mut Value) -> ApiResult<()> {
    if !object.is_object() {
        return Err(ApiError::bad_request("the body is not an object"));
    }
    for (field, expected) in [("apiVersion", kind.api_version()), ("kind", kind.kind.to_owned())] {
        match &object[field] {
            Value::Null => object[field] = expected.into(),
            Value::String(found) if *found == expected => {}
            Value::String(_) => {
                let meant = object["kind"].as_str().unwrap_or(kind.kind);
                let version = meta::text(object, "/apiVersion");
                return Err(ApiError::bad_request(format!(
                    "{meant} in version {version:?} cannot be handled as a {}: converting ({version}).{meant} to \
                     ({}).{}: unknown conversion",
                    kind.kind,
                    kind.api_version(),
                    kind.kind
                )));
            }
            other => return Err(ApiError::bad_request(format!("{field} is {other}, not a string"))),
        }
    }
    Ok(())
}

/// Lists and maps without content are left out, as upstream writes metadata.
fn drop_empty_metadata(object: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    meta::metadata(object).retain(|_, value| !is_empty(value));
}

/// Texts of a Secret are another way to write its data.
fn encode_texts(secret: &mut Value) {
    let fields = secret.as_object_mut();
    if let Some(Value::Object(texts)) = fields.and_then(|fields| fields.shift_remove("stringData")) {
        let data = meta::child(secret, "data");
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            data.insert(key, BASE64_STANDARD.encode(text).into());
        }
    }
}

/// Gives quantities the form in which they are kept; they may be sent as numbers (`cpu: 1`).
///
/// # Errors
/// 400 when one is none.
pub(crate) fn normalize_quantities(value: &mut Value) -> ApiResult<()> {
    const MAPS: [&str; 8] = [
        "requests",
        "limits",
        "capacity",
        "allocatable",
        "hard",
        "used",
        "default",
        "defaultRequest",
    ];
    match value {
        Value::Object(map) => map.iter_mut().try_for_each(|(key, child)| match child {
            Value::Object(quantities) if MAPS.contains(&key.as_str()) => {
                quantities.values_mut().try_for_each(normalize)
            }
            _ if matches!(key.as_str(), "sizeLimit" | "divisor" | "averageValue") => normalize(child),
            _ => normalize_quantities(child),
        }),
        Value::Array(list) => list.iter_mut().try_for_each(normalize_quantities),
        _ => Ok(()),
    }
}

fn normalize(value: &mut Value) -> ApiResult<()> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        // another type is told by its kind
        _ => return Ok(()),
    };
    let quantity = Quantity::parse(&text).ok_or_else(|| ApiError::bad_request(RULE))?;
    *value = quantity.to_string().into();
    Ok(())
}

/// Collects the fields of `sent` that did not survive in `kept`. A null is no field.
fn find_unknown(sent: &Value, kept: &Value, path: &str, unknown: &mut Vec<String>) {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(kept)) => {
            for (key, value) in sent.iter().filter(|(_, value)| !value.is_null()) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match kept.get(key) {
                    Some(kept) => find_unknown(value, kept, &path, unknown),
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(sent), Value::Array(kept)) => {
            for (index, (sent, kept)) in sent.iter().zip(kept).enumerate() {
                find_unknown(sent, kept, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::named;

    fn pod(container: &Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"containers": [container]}})
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place_when_strict() {
        let object = pod(&json!({"name": "c", "imagee": "x"}));
        let error = decode(named("Pod"), object.clone(), FieldValidation::Strict).unwrap_err();
        assert!(
            error
                .message()
                .ends_with(r#"strict decoding error: unknown field "spec.containers[0].imagee""#)
        );
        let (kept, unknown) = decode(named("Pod"), object, FieldValidation::Warn).unwrap();
        assert_eq!(unknown, ["spec.containers[0].imagee"]);
        assert_eq!(kept["spec"]["containers"][0], json!({"name": "c"}));
    }

    #[test]
    fn a_wrong_type_is_refused() {
        let object = pod(&json!({"name": 7}));
        let error = decode(named("Pod"), object, FieldValidation::Ignore).unwrap_err();
        assert_eq!(error.code(), http::StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_quantity_may_be_a_number() {
        let object = pod(&json!({"name": "c", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}));
        let (kept, unknown) = decode(named("Pod"), object, FieldValidation::Strict).unwrap();
        assert_eq!(kept["spec"]["containers"][0]["resources"]["limits"]["cpu"], "1");
        assert!(unknown.is_empty());
    }

    #[test]
    fn texts_of_a_secret_become_data() {
        let object = json!({"metadata": {"name": "a"}, "data": {"a": "eA=="}, "stringData": {"b": "hi"}});
        let (kept, unknown) = decode(named("Secret"), object, FieldValidation::Strict).unwrap();
        assert_eq!(kept["data"], json!({"a": "eA==", "b": "aGk="}));
        assert!(kept.get("stringData").is_none() && unknown.is_empty());
    }

    #[test]
    fn the_wrong_kind_is_refused() {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
        assert!(decode(named("Pod"), object, FieldValidation::Ignore).is_err());
    }
}
