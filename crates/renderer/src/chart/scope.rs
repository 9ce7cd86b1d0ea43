//! Values that the charts evaluate as templates.

use std::cell::OnceCell;

use serde_json::{Value, json};

use super::{names::fullname, workload::as_table};
use crate::{
    error::RenderError,
    go_yaml,
    release::Release,
    template::{self, Context, Fault, Simple},
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
    context: OnceCell<Context>,
}

impl<'a> Scope<'a> {
    pub(crate) fn of_chart(release: &'a Release, values: &'a Values) -> Self {
        Self {
            release,
            values,
            prefix: "",
            context: OnceCell::new(),
        }
    }

    pub(crate) fn of_postgresql(release: &'a Release, values: &'a Values) -> Self {
        Self {
            release,
            values,
            prefix: "postgresql.",
            context: OnceCell::new(),
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
        template::evaluate(text, self.context()).map_err(|fault| self.fault(key, text, &fault))
    }

    /// An error about a value that the chart's templates trip over.
    pub(crate) fn refuse(&self, key: &str, problem: &str) -> RenderError {
        RenderError::Refused {
            key: format!("{}{key}", self.prefix),
            problem: problem.to_owned(),
        }
    }

    /// Evaluates a value, the short way where it leads to the same.
    fn evaluate(&self, key: &str, value: &Value) -> Result<Value, RenderError> {
        match self.evaluate_texts(value) {
            Some(value) => Ok(value),
            None => self.evaluate_as_yaml(key, value),
        }
    }

    /// Evaluates each text on its own. Nothing comes back where a text could change what is around it.
    fn evaluate_texts(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::String(text) if text.contains("{{") => self.evaluate_scalar(text)?,
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| self.evaluate_texts(item))
                    .collect::<Option<_>>()?,
            ),
            Value::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    (!key.contains("{{")).then_some(())?;
                    Some((key.clone(), self.evaluate_texts(value)?))
                });
                Value::Object(entries.collect::<Option<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// A text of one short line, evaluated between the quotes in which the chart writes it, if any.
    fn evaluate_scalar(&self, text: &str) -> Option<Value> {
        const SHORT: usize = 60;
        if text.len() > SHORT || text.contains(['\n', '\'']) {
            return None;
        }
        let quoted = match go_yaml::to_yaml(&text.into()).chars().next()? {
            '\'' => true,
            '"' => return None,
            _ => false,
        };
        let evaluated = match template::substitute(text, |wanted| self.lookup(wanted)) {
            Some(evaluated) => evaluated,
            None => template::evaluate(text, self.context()).ok()?,
        };
        if quoted {
            return (!evaluated.contains(['\n', '\''])).then(|| evaluated.into());
        }
        is_plainly_text(&evaluated).then(|| evaluated.into())
    }

    /// What most expressions ask for, without putting the whole context together.
    fn lookup(&self, wanted: Simple<'_>) -> Option<String> {
        let path = match wanted {
            Simple::Include("common.names.fullname") if self.prefix.is_empty() => {
                let Values {
                    name_override,
                    fullname_override,
                    ..
                } = self.values;
                return Some(fullname(
                    super::INFO.name,
                    name_override,
                    fullname_override,
                    &self.release.name,
                ));
            }
            Simple::Include(_) => return None,
            Simple::Field(path) => path,
        };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["Release", "Name"] => Some(self.release.name.clone()),
            ["Release", "Namespace"] => Some(self.release.namespace.clone()),
            ["Values", "service", field] if self.prefix.is_empty() => as_table(&self.values.service)
                .get(*field)
                .and_then(template::print),
            _ => None,
        }
    }

    /// Evaluates as the chart does: the value as YAML, that as a template, the result as YAML again.
    fn evaluate_as_yaml(&self, key: &str, value: &Value) -> Result<Value, RenderError> {
        let source = go_yaml::to_yaml(value);
        let text = template::evaluate(&source, self.context()).map_err(|fault| {
            self.faulty_text(key, value)
                .unwrap_or_else(|| self.fault(key, &source, &fault))
        })?;
        yaml::read_rendered(&text).map_err(|source| RenderError::Yaml {
            key: format!("{}{key}", self.prefix),
            source,
        })
    }

    /// The error of the first text within a value that is wrong on its own.
    fn faulty_text(&self, key: &str, value: &Value) -> Option<RenderError> {
        match value {
            Value::String(text) => self.text(key, text).err(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| self.faulty_text(&format!("{key}[{index}]"), item)),
            Value::Object(entries) => entries.iter().find_map(|(name, value)| {
                let key = format!("{key}.{name}");
                self.text(&key, name)
                    .err()
                    .or_else(|| self.faulty_text(&key, value))
            }),
            _ => None,
        }
    }

    fn fault(&self, key: &str, template: &str, fault: &Fault) -> RenderError {
        let before = template.get(..fault.at).unwrap_or(template);
        RenderError::Template {
            key: format!("{}{key}", self.prefix),
            template: template.to_owned(),
            column: before.chars().count() + 1,
            problem: fault.problem.clone(),
        }
    }

    fn context(&self) -> &Context {
        self.context.get_or_init(|| Context::new(&self.data()))
    }

    /// What helm gives to templates, as far as it is the same on every call.
    fn data(&self) -> Value {
        let chart = as_table(self.values);
        let (info, values) = if self.prefix.is_empty() {
            (&super::INFO, chart)
        } else {
            let mut values = as_table(&self.values.postgresql);
            values.insert("global".to_owned(), as_table(&self.values.global).into());
            (&crate::postgresql::INFO, values)
        };
        let kube = self.release.kube_version;
        let version = format!("v{kube}");
        json!({
            "Values": values,
            "Release": {
                "Name": self.release.name,
                "Namespace": self.release.namespace,
                "Service": "Helm",
                "Revision": 1,
                "IsInstall": true,
                "IsUpgrade": false,
            },
            "Chart": {
                "Name": info.name,
                "Version": info.version,
                "AppVersion": info.app_version,
                "Type": "application",
            },
            "Capabilities": {"KubeVersion": {
                "Version": version,
                "GitVersion": version,
                "Major": kube.major.to_string(),
                "Minor": kube.minor.to_string(),
            }},
        })
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
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_short_way_leads_to_the_same(text in "([a-z:# '\"\\[\\]{}&*!%@,\\-]{0,4}|\\{\\{ \\.Release\\.Name \\}\\}|\\{\\{ [`\"][a-z0-9: #\\[]{0,3}[`\"] \\}\\}){1,4}") {
            let (release, values) = (Release::new("r", "n"), Values::default());
            let scope = Scope::of_chart(&release, &values);
            for value in [json!([text]), json!({"k": text, "l": [{"m": text}]})] {
                if let Some(short) = scope.evaluate_texts(&value) {
                    prop_assert_eq!(short, scope.evaluate_as_yaml("k", &value).expect("the long way"));
                }
            }
        }
    }

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
