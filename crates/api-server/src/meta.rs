//! Reading and writing `metadata` of objects kept as JSON.

use serde_json::{Map, Value, json};

/// Now, as the API writes times: RFC 3339, UTC, whole seconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `seconds` from now.
pub(crate) fn in_seconds(seconds: i64) -> String {
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    later.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A string of the object at `pointer` (RFC 6901); empty when absent.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn resource_version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The names in a list such as `/metadata/finalizers`.
pub(crate) fn names_at(object: &Value, pointer: &str) -> Vec<String> {
    let list = object.pointer(pointer).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The object's metadata, made if absent.
///
/// The caller has checked that `object` is a JSON object.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    child(object, "metadata")
}

/// The map at `key` of `object`, made if it is absent or no map.
pub(crate) fn child<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !object[key].is_object() {
        object[key] = json!({});
    }
    match &mut object[key] {
        Value::Object(map) => map,
        // made a map just above
        _ => unreachable!("{key} is a map"),
    }
}

/// Sets `key` unless it has a value.
pub(crate) fn default_to(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let entry = map.entry(key).or_insert(Value::Null);
    if entry.is_null() {
        *entry = value.into();
    }
}
