//! Names, labels and the rest of metadata.

use serde_json::{Value, json};

use crate::{meta, registry::Kind, status::Cause};

pub(super) const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

pub(super) fn check(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let name = meta::name(object);
    let why = match kind.kind {
        // the names of roles may hold colons: they are path segments only
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => None,
        "Namespace" | "Service" | "StatefulSet" => (!is_dns_label(name)).then_some(DNS_LABEL),
        _ => (!is_dns_subdomain(name)).then_some(DNS_SUBDOMAIN),
    };
    if let Some(why) = why {
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
    let metadata = &object["metadata"];
    labels(&metadata["labels"], "metadata.labels", causes);
    keys(&metadata["annotations"], "metadata.annotations", causes);
    for finalizer in metadata["finalizers"].as_array().into_iter().flatten() {
        if !finalizer.as_str().is_some_and(is_qualified_name) {
            causes.push(Cause::invalid("metadata.finalizers", finalizer, QUALIFIED_NAME));
        }
    }
    owners(&metadata["ownerReferences"], causes);
}

fn owners(references: &Value, causes: &mut Vec<Cause>) {
    for reference in references.as_array().into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if meta::text(reference, &format!("/{field}")).is_empty() {
                let place = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(
                    place,
                    &json!(""),
                    &format!("{field} must not be empty"),
                ));
            }
        }
    }
}

/// The keys of labels and annotations: a name, with a domain before it or without.
fn keys(map: &Value, field: &str, causes: &mut Vec<Cause>) {
    for key in map.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !is_qualified_name(key) {
            causes.push(Cause::invalid(field, &json!(key), QUALIFIED_NAME));
        }
    }
}

fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_dns_subdomain(&domain.to_lowercase()) && is_label_text(name),
        None => is_label_text(text),
    }
}

/// Whether a text can be the name of a label.
fn is_label_text(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let plain = text.chars().all(|c| edge(c) || "-_.".contains(c));
    text.len() <= 63 && plain && text.starts_with(edge) && text.ends_with(edge)
}

/// Whether a text can be the value of a label.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_text(text)
}

fn is_dns_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(edge) && name.ends_with(edge) && name.chars().all(|c| edge(c) || c == '-')
}

pub(super) fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_dns_name(name)
}

fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_name)
}

pub(super) fn labels(labels: &Value, field: &str, causes: &mut Vec<Cause>) {
    keys(labels, field, causes);
    let values = labels.as_object().into_iter().flatten();
    for value in values.filter_map(|(_, value)| value.as_str()) {
        if value.len() > 63 {
            causes.push(Cause::invalid(
                field,
                &json!(value),
                "must be no more than 63 bytes",
            ));
        } else if !is_label_value(value) {
            causes.push(Cause::invalid(field, &json!(value), LABEL_VALUE));
        }
    }
}
