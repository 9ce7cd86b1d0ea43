//! Values that the charts evaluate as templates.

use std::cell::OnceCell;

use serde_json::Value;

use crate::{
    error::RenderError,
    release::Release,
    values::{Table, Values},
    yaml,
};

/// A chart's metadata.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChartInfo {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) app_version: &'static str,
}

/// What an expression in a value can see. It is put together when the first expression is met.
pub(crate) struct Scope<'a> {
    release: &'a Release,
    values: &'a Values,
    prefix: &'static str,
    data: OnceCell<Value>,
}

impl<'a> Scope<'a> {
    pub(crate) fn of_chart(release: &'a Release, values: &'a Values) -> Self {
        Self {
            release,
            values,
            prefix: "",
            data: OnceCell::new(),
        }
    }

    pub(crate) fn of_postgresql(release: &'a Release, values: &'a Values) -> Self {
        Self {
            release,
            values,
            prefix: "postgresql.",
            data: OnceCell::new(),
        }
    }

    /// A map whose texts may be templates.
    pub(crate) fn table(&self, key: &str, table: &Table) -> Result<Table, RenderError> {
        if !table.values().any(has_template) && !table.keys().any(|key| key.contains("{{")) {
            return Ok(table.clone());
        }
        match self.evaluate(key, &Value::Object(table.clone()))? {
            Value::Object(table) => Ok(table),
            Value::Null => Ok(Table::new()),
            other => Err(self.refuse(key, &format!("is evaluated to {other}, and must be a map"))),
        }
    }

    /// A list whose texts may be templates.
    pub(crate) fn list<T: Clone + Into<Value>>(
        &self,
        key: &str,
        list: &[T],
    ) -> Result<Vec<Value>, RenderError> {
        let list: Vec<Value> = list.iter().cloned().map(Into::into).collect();
        if !list.iter().any(has_template) {
            return Ok(list);
        }
        match self.evaluate(key, &Value::Array(list))? {
            Value::Array(list) => Ok(list),
            Value::Null => Ok(Vec::new()),
            other => Err(self.refuse(key, &format!("is evaluated to {other}, and must be a list"))),
        }
    }

    /// A text that may be a template.
    pub(crate) fn text(&self, key: &str, text: &str) -> Result<String, RenderError> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        Err(self.refuse(key, "not yet"))
    }

    pub(crate) fn refuse(&self, key: &str, problem: &str) -> RenderError {
        RenderError::Refused {
            key: format!("{}{key}", self.prefix),
            problem: problem.to_owned(),
        }
    }

    fn evaluate(&self, key: &str, _value: &Value) -> Result<Value, RenderError> {
        Err(self.refuse(key, "not yet"))
    }
}

fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{"),
        Value::Array(list) => list.iter().any(has_template),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains("{{") || has_template(value)),
        _ => false,
    }
}

/// A text that the chart writes without quotes: what YAML makes of it.
pub(crate) fn bare(text: &str) -> Value {
    if is_plainly_text(text) {
        return text.into();
    }
    match yaml::read(text) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value,
        _ => text.into(),
    }
}

/// Whether a text needs no look by a YAML parser: a word that is none of YAML's own.
fn is_plainly_text(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-./:_".contains(c))
        && !text.ends_with(':')
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("prefect", json!("prefect"))]
    #[case("prefecthq/prefect:3-latest", json!("prefecthq/prefect:3-latest"))]
    #[case("30080", json!(30080))]
    #[case("1.5", json!(1.5))]
    #[case("0123", json!(83))]
    #[case("yes", json!(true))]
    #[case("", Value::Null)]
    #[case("--port", json!("--port"))]
    #[case("3-latest", json!("3-latest"))]
    fn unquoted_texts_are_what_yaml_makes_of_them(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(bare(text), expected);
    }
}
