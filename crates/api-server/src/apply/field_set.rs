//! Sets of fields, in the form in which `managedFields` records them.
//!
//! Source of the form: `fieldsV1` of `sigs.k8s.io/structured-merge-diff`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::merge::lists::{ListRule, is_atomic_map, key_value};

/// The way to a field. A step is `f:NAME` into a field, `k:{"KEY":VALUE}` to an item of a keyed list,
/// `v:VALUE` to a value of a set; a last step `.` means the item itself.
pub(super) type FieldPath = Vec<String>;

/// What is at a place of an object, as far as ownership goes.
pub(super) enum Parts<'a> {
    /// Owned as a whole.
    Leaf,
    /// Owned part by part: the step to each, its field name for the rules below it, and its value.
    Inner(Vec<(String, &'a str, &'a Value)>),
}

/// The parts of `value`, which is the field `field` below the field `parent`.
pub(super) fn parts<'a>(parent: &str, field: &'a str, value: &'a Value) -> Parts<'a> {
    match value {
        Value::Object(map) if !map.is_empty() && !is_atomic_map(parent, field) => {
            let step = |(key, value): (&'a String, &'a Value)| (format!("f:{key}"), key.as_str(), value);
            Parts::Inner(map.iter().map(step).collect())
        }
        Value::Array(items) if !items.is_empty() => match ListRule::of(parent, field) {
            ListRule::Set => {
                let step = |item: &'a Value| (format!("v:{item}"), "", item);
                Parts::Inner(items.iter().map(step).collect())
            }
            rule if !rule.apply_keys().is_empty() => {
                let step = |item: &'a Value| (item_step(item, rule.apply_keys()), field, item);
                Parts::Inner(items.iter().map(step).collect())
            }
            _ => Parts::Leaf,
        },
        _ => Parts::Leaf,
    }
}

fn item_step(item: &Value, keys: &[&str]) -> String {
    let keys: Map<String, Value> = keys
        .iter()
        .map(|key| ((*key).to_owned(), key_value(item, key)))
        .collect();
    format!("k:{}", Value::Object(keys))
}

/// Whether a step leads to an item of a list, which is owned itself besides its fields.
pub(super) fn is_item(step: &str) -> bool {
    step.starts_with("k:")
}

/// A set of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet(BTreeSet<FieldPath>);

impl FieldSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FieldPath> {
        self.0.iter()
    }

    pub(super) fn contains(&self, path: &FieldPath) -> bool {
        self.0.contains(path)
    }

    pub(super) fn insert(&mut self, path: FieldPath) {
        self.0.insert(path);
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&FieldPath) -> bool) {
        self.0.retain(keep);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Whether a field at or below `path` is in the set.
    pub(super) fn reaches(&self, path: &[String]) -> bool {
        let from = self
            .0
            .range::<[String], _>((std::ops::Bound::Included(path), std::ops::Bound::Unbounded));
        from.take(1).any(|found| found.starts_with(path))
    }

    /// Adds all fields of `value`, which lies at `path`.
    pub(super) fn insert_all(&mut self, parent: &str, field: &str, value: &Value, path: &mut FieldPath) {
        match parts(parent, field, value) {
            Parts::Leaf => {
                self.0.insert(path.clone());
            }
            Parts::Inner(inner) => {
                let below = if value.is_array() { parent } else { field };
                for (step, name, value) in inner {
                    let own = is_item(&step);
                    path.push(step);
                    if own {
                        path.push(".".to_owned());
                        self.0.insert(path.clone());
                        path.pop();
                    }
                    self.insert_all(below, name, value, path);
                    path.pop();
                }
            }
        }
    }

    pub(super) fn from_record(record: &Value) -> Self {
        fn read(record: &Value, path: &mut FieldPath, set: &mut FieldSet) {
            match record.as_object().filter(|map| !map.is_empty()) {
                Some(map) => {
                    for (step, inner) in map {
                        path.push(step.clone());
                        read(inner, path, set);
                        path.pop();
                    }
                }
                None if path.is_empty() => {}
                None => set.insert(path.clone()),
            }
        }
        let mut set = Self::default();
        read(record, &mut Vec::new(), &mut set);
        set
    }

    pub(super) fn to_record(&self) -> Value {
        let mut record = Map::new();
        for path in &self.0 {
            let mut place = &mut record;
            for step in path {
                let entry = place.entry(step.as_str()).or_insert_with(|| Map::new().into());
                match entry {
                    Value::Object(map) => place = map,
                    _ => break,
                }
            }
        }
        record.into()
    }
}

impl FromIterator<FieldPath> for FieldSet {
    fn from_iter<I: IntoIterator<Item = FieldPath>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

/// `.spec.containers[name="a"].image`, as messages name a field.
pub(super) fn readable(path: &FieldPath) -> String {
    let mut text = String::new();
    for step in path {
        match step.split_once(':') {
            Some(("f", name)) => {
                text.push('.');
                text.push_str(name);
            }
            Some(("k", keys)) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                text.push_str(&format!("[{}]", pairs.join(",")));
            }
            Some((_, value)) => text.push_str(&format!("[={value}]")),
            None => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(object: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        set.insert_all("", "", object, &mut Vec::new());
        set
    }

    #[test]
    fn fields_are_recorded_as_in_kubernetes() {
        let set = fields(
            &json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["x"]}, "spec": {
                "selector": {"a": "b"},
                "containers": [{"name": "c", "args": ["x"], "ports": [{"containerPort": 80}]}],
            }}),
        );
        let record = json!({
            "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {
                "f:selector": {},
                "f:containers": {"k:{\"name\":\"c\"}": {
                    ".": {}, "f:name": {}, "f:args": {},
                    "f:ports": {
                        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                    },
                }},
            },
        });
        assert_eq!(set.to_record(), record);
        assert_eq!(FieldSet::from_record(&record), set);
    }

    #[test]
    fn a_set_reaches_what_is_on_the_way_to_its_fields() {
        let set = fields(&json!({"spec": {"a": {"b": 1}}}));
        let path = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
        assert!(set.reaches(&path(&["f:spec", "f:a"])));
        assert!(!set.reaches(&path(&["f:spec", "f:c"])));
    }

    #[test]
    fn paths_are_written_for_people() {
        let set = fields(&json!({"spec": {"containers": [{"name": "c", "image": "x"}]}}));
        let all: Vec<String> = set.iter().map(readable).collect();
        assert!(
            all.contains(&".spec.containers[name=\"c\"].image".to_owned()),
            "{all:?}"
        );
    }
}
