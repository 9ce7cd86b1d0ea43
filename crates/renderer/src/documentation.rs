//! The values documented: as a table, and as a values file with comments.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{go_yaml, layers, schema::values_schema, values::Values};

/// A line of the table of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key, with dots
    pub key: String,
    /// `bool`, `int`, `list`, `object` or `string`
    pub kind: &'static str,
    /// The default as JSON
    pub default: String,
    /// What the chart says of the key
    pub description: String,
}

/// The chart's own values, by key.
#[must_use]
pub fn values_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let defaults = Value::Object(layers::chart_defaults().clone());
    collect(&defaults, values_schema(), String::new(), &mut rows);
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

fn collect(value: &Value, schema: &Value, key: String, rows: &mut Vec<Row>) {
    if let (Value::Object(map), false) = (value, is_leaf(schema)) {
        for (name, value) in map {
            let key = if key.is_empty() {
                name.clone()
            } else {
                format!("{key}.{name}")
            };
            collect(value, property(schema, name), key, rows);
        }
        return;
    }
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "int",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
        Value::String(_) | Value::Null => "string",
    };
    rows.push(Row {
        key,
        kind,
        default: value.to_string(),
        description: description(schema).to_owned(),
    });
}

/// Whether a block is documented as a whole: its keys are the user's, or one setting together.
fn is_leaf(schema: &Value) -> bool {
    schema.get("properties").is_none() || schema.get("x-leaf").is_some()
}

fn property<'a>(schema: &'a Value, name: &str) -> &'a Value {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .unwrap_or(&Value::Null)
}

fn description(schema: &Value) -> &str {
    schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The table of the chart's values, as its documentation has it.
#[must_use]
pub fn values_markdown() -> String {
    let mut table =
        String::from("| Key | Type | Default | Description |\n|-----|------|---------|-------------|\n");
    for Row {
        key,
        kind,
        default,
        description,
    } in values_rows()
    {
        let _ = writeln!(table, "| {key} | {kind} | `{default}` | {description} |");
    }
    table
}

/// A values file with all defaults, those of the bundled PostgreSQL too, and their descriptions.
#[must_use]
pub fn values_yaml() -> String {
    let mut file = String::new();
    if let Ok(Value::Object(map)) = serde_json::to_value(Values::default()) {
        write_block(&map, values_schema(), 0, &mut file);
    }
    file
}

fn write_block(map: &serde_json::Map<String, Value>, schema: &Value, indent: usize, file: &mut String) {
    let pad = " ".repeat(indent);
    for (name, value) in map {
        let schema = property(schema, name);
        if indent == 0 && !file.is_empty() {
            file.push('\n');
        }
        let description = description(schema);
        if !description.is_empty() {
            let _ = writeln!(file, "{pad}# {}", description.replace('\n', " "));
        }
        match value {
            Value::Object(inner) if !inner.is_empty() && !is_leaf(schema) => {
                let _ = writeln!(file, "{pad}{name}:");
                write_block(inner, schema, indent + 2, file);
            }
            value => {
                let mut entry = serde_json::Map::new();
                entry.insert(name.clone(), value.clone());
                for line in go_yaml::to_yaml(&Value::Object(entry)).lines() {
                    let _ = writeln!(file, "{pad}{line}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, path::Path};

    use super::*;
    use crate::Layers;

    #[test]
    fn the_table_is_the_charts_own() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec/prefect-server-chart.md");
        let Ok(text) = std::fs::read_to_string(&path) else {
            let _ = writeln!(std::io::stderr(), "skipped: {} is not there", path.display());
            return;
        };
        let lines = text
            .lines()
            .skip_while(|line| !line.starts_with("| Key | Type"))
            .take_while(|line| line.starts_with('|'));
        let expected: Vec<&str> = lines.collect();
        let table = values_markdown();
        let generated: Vec<&str> = table.lines().collect();
        for (line, expected) in generated.iter().zip(&expected) {
            assert_eq!(line, expected);
        }
        assert_eq!(generated.len(), expected.len());
    }

    #[test]
    fn the_documented_file_holds_the_defaults() {
        let mut layers = Layers::default();
        layers.file("values.yaml", &values_yaml()).expect("valid YAML");
        assert_eq!(layers.values().expect("valid values"), Values::default());
    }

    #[test]
    fn every_setting_of_the_file_is_described() {
        insta::assert_snapshot!(values_yaml());
    }
}
