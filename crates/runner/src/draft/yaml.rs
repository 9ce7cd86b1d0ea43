//! The draft as a file, with comments on what was changed.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value};

use super::Draft;

impl Draft {
    /// The scenario file; `schema` is where its schema is, as seen from it.
    pub(crate) fn to_yaml(&self, schema: &str) -> String {
        let mut text = format!("# yaml-language-server: $schema={schema}\n");
        let document = serde_json::to_value(&self.file).unwrap_or_default();
        let mut comments: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (key, why) in &self.comments {
            let place = existing(&document, &format!("values.{key}"));
            comments
                .entry(place)
                .or_default()
                .extend(why.iter().map(String::as_str));
        }
        if let Value::Object(map) = &document {
            write_map(map, "", 0, &comments, &mut text);
        }
        text
    }
}

/// As much of a dotted key as the document has.
fn existing(document: &Value, key: &str) -> String {
    let mut value = document;
    let mut steps = Vec::new();
    for step in key.split('.').filter(|step| !step.is_empty()) {
        let Some(inner) = value.get(step) else { break };
        value = inner;
        steps.push(step);
    }
    steps.join(".")
}

fn write_map(
    map: &Map<String, Value>,
    above: &str,
    indent: usize,
    comments: &BTreeMap<String, Vec<&str>>,
    text: &mut String,
) {
    let pad = " ".repeat(indent);
    for (name, value) in map {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        for comment in comments.get(&key).into_iter().flatten() {
            let _ = writeln!(text, "{pad}# {comment}");
        }
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                let _ = writeln!(text, "{pad}{}:", scalar(name));
                write_map(inner, &key, indent + 2, comments, text);
            }
            value => {
                let entry = Map::from_iter([(name.clone(), value.clone())]);
                for line in serde_saphyr::to_string(&entry).unwrap_or_default().lines() {
                    let _ = writeln!(text, "{}", format!("{pad}{line}").trim_end());
                }
            }
        }
    }
}

/// A key as YAML reads it back.
fn scalar(name: &str) -> String {
    let written = serde_saphyr::to_string(&name).unwrap_or_default();
    written.trim_end().to_owned()
}
