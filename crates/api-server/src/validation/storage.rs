//! Claims, and what is stored as data.

use serde_json::{Value, json};

use super::{items, one_of};
use crate::status::Cause;

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

pub(super) fn claim(spec: &Value, causes: &mut Vec<Cause>) {
    if items(spec, "accessModes").next().is_none() {
        causes.push(Cause::required(
            "spec.accessModes",
            "at least 1 access mode is required",
        ));
    }
    if spec["resources"]["requests"]["storage"].is_null() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
    for (_, mode) in items(spec, "accessModes") {
        one_of(mode, "spec.accessModes".into(), &ACCESS_MODES, causes);
    }
}

pub(super) fn config_map(object: &Value, causes: &mut Vec<Cause>) {
    keys(object, "data", causes);
    keys(object, "binaryData", causes);
}

/// The keys that a Secret of a type has to have.
fn required_keys(secret_type: &str) -> &'static [&'static str] {
    match secret_type {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    }
}

pub(super) fn secret(object: &Value, causes: &mut Vec<Cause>) {
    keys(object, "data", causes);
    for key in required_keys(object["type"].as_str().unwrap_or_default()) {
        if object["data"].get(key).is_none() {
            causes.push(Cause::required(format!("data[{key}]"), ""));
        }
    }
}

fn keys(object: &Value, field: &str, causes: &mut Vec<Cause>) {
    let is_key = |key: &str| {
        let plain = key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        plain && !key.is_empty() && key.len() <= 253 && key != "." && key != ".."
    };
    for key in object[field]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
    {
        if !is_key(key) {
            causes.push(Cause::invalid(format!("{field}[{key}]"), &json!(key), KEY));
        }
    }
}
