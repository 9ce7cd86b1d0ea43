//! Label and field selectors of list, watch and deletecollection.

use serde_json::Value;

use crate::{
    registry::Kind,
    status::{ApiError, ApiResult},
    validation::is_label_value,
};

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
    Above(String, i64),
    Below(String, i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: Vec<String>,
    equal: bool,
    value: String,
}

impl Selection {
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> ApiResult<Self> {
        Ok(Self {
            labels: split_outside_parentheses(labels)
                .map(parse_label)
                .collect::<ApiResult<_>>()?,
            fields: fields
                .split(',')
                .filter(|term| !term.is_empty())
                .map(|term| parse_field(kind, term))
                .collect::<ApiResult<_>>()?,
        })
    }

    /// Whether anything is left out.
    pub(crate) fn is_limited(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(|requirement| requirement.matches(object))
    }
}

impl LabelRequirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        let number = |key: &str| value(key).and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::In(key, values) => value(key).is_some_and(|v| values.iter().any(|one| one == v)),
            Self::NotIn(key, values) => !value(key).is_some_and(|v| values.iter().any(|one| one == v)),
            Self::Exists(key) => value(key).is_some(),
            Self::Missing(key) => value(key).is_none(),
            Self::Above(key, bound) => number(key).is_some_and(|number| number > *bound),
            Self::Below(key, bound) => number(key).is_some_and(|number| number < *bound),
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
    let value = |text: &str| -> ApiResult<String> {
        let text = text.trim();
        if is_label_value(text) {
            Ok(text.to_owned())
        } else {
            Err(bad())
        }
    };
    let bound = |text: &str| text.trim().parse::<i64>().map_err(|_| bad());
    let set = |list: &str| -> ApiResult<Vec<String>> {
        let list = list
            .trim()
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or_else(bad)?;
        list.split(',').map(value).collect()
    };
    let key = |key: &str| -> ApiResult<String> {
        let key = key.trim();
        let plain = !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if plain { Ok(key.to_owned()) } else { Err(bad()) }
    };
    if let Some((name, text)) = term.split_once("!=") {
        return Ok(LabelRequirement::NotIn(key(name)?, vec![value(text)?]));
    }
    if let Some((name, text)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(LabelRequirement::In(key(name)?, vec![value(text)?]));
    }
    if let Some((name, text)) = term.split_once('>') {
        return Ok(LabelRequirement::Above(key(name)?, bound(text)?));
    }
    if let Some((name, text)) = term.split_once('<') {
        return Ok(LabelRequirement::Below(key(name)?, bound(text)?));
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

/// The fields by which objects of a kind can be selected, besides name and namespace.
///
/// Source: `conversion.go` of each API group.
fn selectable(kind: &Kind) -> &'static [&'static str] {
    match kind.kind {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
        "Node" => &["spec.unschedulable"],
        "Namespace" => &["status.phase"],
        "Secret" => &["type"],
        "Service" => &["spec.clusterIP", "spec.type"],
        "ReplicaSet" => &["status.replicas"],
        "Job" => &["status.successful"],
        _ => &[],
    }
}

fn parse_field(kind: &Kind, term: &str) -> ApiResult<FieldRequirement> {
    let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
        (path, false, value)
    } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (path, true, value)
    } else {
        return Err(ApiError::bad_request(format!(
            "invalid selector: '{term}'; can't understand '{term}'"
        )));
    };
    let is_known = matches!(path, "metadata.name" | "metadata.namespace") || selectable(kind).contains(&path);
    if !is_known {
        return Err(ApiError::bad_request(format!(
            "field label not supported: {path}"
        )));
    }
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
    use crate::registry::named;

    #[rstest]
    #[case("app=web", true)]
    #[case("app==web,tier!=db", true)]
    #[case("app!=web", false)]
    #[case("app in (web, api)", true)]
    #[case("app notin (web,api)", false)]
    #[case("app,!other", true)]
    #[case("!app", false)]
    #[case("missing", false)]
    #[case("size>5", true)]
    #[case("size<5", false)]
    #[case("app>5", false)]
    fn label_selectors_match_as_in_kubernetes(#[case] selector: &str, #[case] expected: bool) {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front", "size": "10"}}});
        assert_eq!(
            Selection::parse(named("Pod"), selector, "")
                .unwrap()
                .matches(&object),
            expected
        );
    }

    #[rstest]
    #[case("metadata.name=a", true)]
    #[case("metadata.name!=a", false)]
    #[case("spec.nodeName=", true)]
    #[case("status.phase=Running,metadata.name=a", true)]
    #[case("status.phase!=Running", false)]
    fn field_selectors_match_as_in_kubernetes(#[case] selector: &str, #[case] expected: bool) {
        let object = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        assert_eq!(
            Selection::parse(named("Pod"), "", selector)
                .unwrap()
                .matches(&object),
            expected
        );
    }

    #[rstest]
    #[case("a in x", "")]
    #[case("=", "")]
    #[case("a=no label", "")]
    #[case("a>b", "")]
    #[case("", "metadata.name")]
    #[case("", "spec.containers=a")]
    fn what_is_no_selector_is_refused(#[case] labels: &str, #[case] fields: &str) {
        assert!(Selection::parse(named("Pod"), labels, fields).is_err());
    }
}
