//! Which fields differ between two states of an object.

use serde_json::Value;

use super::field_set::{FieldPath, FieldSet, Parts, is_item, parts};

/// The fields of the new state that are new or have another value, and those of the old that are gone.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) written: FieldSet,
    pub(super) removed: FieldSet,
}

impl Difference {
    pub(super) fn between(before: &Value, after: &Value) -> Self {
        let mut difference = Self::default();
        difference.compare("", "", before, after, &mut Vec::new());
        difference
    }

    fn compare(&mut self, parent: &str, field: &str, before: &Value, after: &Value, path: &mut FieldPath) {
        if before == after || is_unowned(path) {
            return;
        }
        match (parts(parent, field, before), parts(parent, field, after)) {
            (Parts::Inner(old), Parts::Inner(new)) => {
                let below = if after.is_array() { parent } else { field };
                for (step, name, value) in &new {
                    path.push(step.clone());
                    match old.iter().find(|(old_step, ..)| old_step == step) {
                        Some((_, _, old)) => self.compare(below, name, old, value, path),
                        None => add(&mut self.written, below, name, value, path),
                    }
                    path.pop();
                }
                for (step, name, value) in &old {
                    if !new.iter().any(|(new_step, ..)| new_step == step) {
                        path.push(step.clone());
                        add(&mut self.removed, below, name, value, path);
                        path.pop();
                    }
                }
            }
            (_, after_parts) => {
                if !before.is_null() && (after.is_null() || matches!(after_parts, Parts::Inner(_))) {
                    add(&mut self.removed, parent, field, before, path);
                }
                if !after.is_null() {
                    add(&mut self.written, parent, field, after, path);
                }
            }
        }
    }
}

fn add(set: &mut FieldSet, parent: &str, field: &str, value: &Value, path: &mut FieldPath) {
    if is_unowned(path) {
        return;
    }
    if path.last().is_some_and(|step| is_item(step)) {
        path.push(".".to_owned());
        set.insert(path.clone());
        path.pop();
    }
    if path.is_empty() || path == &["f:metadata"] {
        // its fields are looked at one by one, because some are nobody's
        if let Parts::Inner(inner) = parts(parent, field, value) {
            for (step, name, value) in inner {
                path.push(step);
                add(set, field, name, value, path);
                path.pop();
            }
        }
        return;
    }
    set.insert_all(parent, field, value, path);
}

/// Whether nobody owns the field at `path`: it identifies the object or is the server's.
fn is_unowned(path: &[String]) -> bool {
    const METADATA: [&str; 8] = [
        "f:name",
        "f:namespace",
        "f:uid",
        "f:resourceVersion",
        "f:creationTimestamp",
        "f:generation",
        "f:managedFields",
        "f:selfLink",
    ];
    match path {
        [field] => field == "f:apiVersion" || field == "f:kind",
        [parent, field, ..] => parent == "f:metadata" && METADATA.contains(&field.as_str()),
        [] => false,
    }
}

/// The fields that an object sets.
pub(super) fn fields_of(object: &Value) -> FieldSet {
    Difference::between(&Value::Null, object).written
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn records(before: &Value, after: &Value) -> (Value, Value) {
        let difference = Difference::between(before, after);
        (difference.written.to_record(), difference.removed.to_record())
    }

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({"metadata": {"name": "a"}, "spec": {"a": 1, "b": {"c": 1}}});
        let after = json!({"metadata": {"name": "b"}, "spec": {"a": 2, "d": {"e": 1}}});
        let (written, removed) = records(&before, &after);
        assert_eq!(written, json!({"f:spec": {"f:a": {}, "f:d": {"f:e": {}}}}));
        assert_eq!(removed, json!({"f:spec": {"f:b": {"f:c": {}}}}));
    }

    #[test]
    fn items_are_told_apart_by_their_keys() {
        let before = json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "image": "x"}]}});
        let after = json!({"spec": {"containers": [{"name": "b", "image": "y"}, {"name": "c"}]}});
        let (written, removed) = records(&before, &after);
        assert_eq!(
            written,
            json!({"f:spec": {"f:containers": {
                "k:{\"name\":\"b\"}": {"f:image": {}},
                "k:{\"name\":\"c\"}": {".": {}, "f:name": {}},
            }}})
        );
        assert_eq!(
            removed,
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}}}})
        );
    }

    #[test]
    fn identity_is_nobodys() {
        let object =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}}});
        assert_eq!(
            fields_of(&object).to_record(),
            json!({"f:metadata": {"f:labels": {"f:x": {}}}})
        );
    }
}
