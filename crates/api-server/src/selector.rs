//! Label and field selectors of list, watch and deletecollection.

use serde_json::Value;

use crate::status::{ApiError, ApiResult};

/// Which objects a request is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    labels: Vec<LabelRequirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelRequirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: Vec<String>,
    equal: bool,
    value: String,
}

impl Selection {
    pub(crate) fn parse(labels: &str, fields: &str) -> ApiResult<Self> {
        Ok(Self {
            labels: split_outside_parentheses(labels)
                .map(parse_label)
                .collect::<ApiResult<_>>()?,
            fields: fields
                .split(',')
                .filter(|term| !term.is_empty())
                .map(parse_field)
                .collect::<ApiResult<_>>()?,
        })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(|requirement| requirement.matches(object))
    }

    /// The name asked for by `metadata.name=…`, if any.
    pub(crate) fn by_name(name: &str) -> Self {
        let path = vec!["metadata".into(), "name".into()];
        Self {
            fields: vec![FieldRequirement {
                path,
                equal: true,
                value: name.into(),
            }],
            ..Self::default()
        }
    }
}

impl LabelRequirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Self::In(key, values) => value(key).is_some_and(|v| values.iter().any(|one| one == v)),
            Self::NotIn(key, values) => !value(key).is_some_and(|v| values.iter().any(|one| one == v)),
            Self::Exists(key) => value(key).is_some(),
            Self::Missing(key) => value(key).is_none(),
        }
    }
}

impl FieldRequirement {
    fn matches(&self, object: &Value) -> bool {
        let found = self.path.iter().fold(object, |value, key| &value[key.as_str()]);
        let equal = match found {
            Value::String(text) => *text == self.value,
            Value::Null => self.value.is_empty(),
            other => {
                let written = other.to_string();
                written == self.value
            }
        };
        equal == self.equal
    }
}

/// Splits at commas, but not at those between parentheses as in `a in (x, y)`.
fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
}

fn parse_label(term: &str) -> ApiResult<LabelRequirement> {
    let bad = || ApiError::bad_request(format!("unable to parse requirement: {term:?}"));
    let set = |list: &str| -> ApiResult<Vec<String>> {
        let list = list
            .trim()
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or_else(bad)?;
        Ok(list.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let key = |key: &str| -> ApiResult<String> {
        let key = key.trim();
        let plain = !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if plain { Ok(key.to_owned()) } else { Err(bad()) }
    };
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(LabelRequirement::NotIn(key(name)?, vec![value.trim().into()]));
    }
    if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(LabelRequirement::In(key(name)?, vec![value.trim().into()]));
    }
    if let Some((name, list)) = term.split_once(" notin ") {
        return Ok(LabelRequirement::NotIn(key(name)?, set(list)?));
    }
    if let Some((name, list)) = term.split_once(" in ") {
        return Ok(LabelRequirement::In(key(name)?, set(list)?));
    }
    match term.strip_prefix('!') {
        Some(name) => Ok(LabelRequirement::Missing(key(name)?)),
        None => Ok(LabelRequirement::Exists(key(term)?)),
    }
}

fn parse_field(term: &str) -> ApiResult<FieldRequirement> {
    let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
        (path, false, value)
    } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (path, true, value)
    } else {
        return Err(ApiError::bad_request(format!(
            "invalid selector: '{term}'; can't understand '{term}'"
        )));
    };
    let path = path.split('.').map(str::to_owned).collect();
    Ok(FieldRequirement {
        path,
        equal,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("app=web", true)]
    #[case("app==web,tier!=db", true)]
    #[case("app!=web", false)]
    #[case("app in (web, api)", true)]
    #[case("app notin (web,api)", false)]
    #[case("app,!other", true)]
    #[case("!app", false)]
    #[case("missing", false)]
    fn label_selectors_match_as_in_kubernetes(#[case] selector: &str, #[case] expected: bool) {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        assert_eq!(Selection::parse(selector, "").unwrap().matches(&object), expected);
    }

    #[rstest]
    #[case("metadata.name=a", true)]
    #[case("metadata.name!=a", false)]
    #[case("spec.nodeName=", true)]
    #[case("status.phase=Running,metadata.name=a", true)]
    #[case("status.phase!=Running", false)]
    fn field_selectors_match_as_in_kubernetes(#[case] selector: &str, #[case] expected: bool) {
        let object = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        assert_eq!(Selection::parse("", selector).unwrap().matches(&object), expected);
    }

    #[rstest]
    #[case("a in x", "")]
    #[case("=", "")]
    #[case("", "metadata.name")]
    fn what_is_no_selector_is_refused(#[case] labels: &str, #[case] fields: &str) {
        assert!(Selection::parse(labels, fields).is_err());
    }
}
