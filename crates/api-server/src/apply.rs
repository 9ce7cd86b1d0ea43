//! Server-side apply, and the record of who owns which field.
//!
//! Source of the rules: "Server-Side Apply" of the Kubernetes documentation; the form of the record is
//! `fieldsV1` of `sigs.k8s.io/structured-merge-diff`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    merge::{is_set, merge_key},
    meta,
    status::{ApiError, ApiResult, Cause},
};

/// The way to a field: `f:NAME`, `k:{"KEY":VALUE}` for an item of a keyed list, `v:VALUE` for one of
/// a set, and a final `.` for the item or map itself.
type FieldPath = Vec<String>;
type FieldSet = BTreeSet<FieldPath>;

/// Maps and objects that are owned and replaced as a whole.
const ATOMIC: [&str; 6] = [
    "matchLabels",
    "selector",
    "nodeSelector",
    "secretRef",
    "configMapRef",
    "resourceFieldRef",
];

/// Fields that nobody owns.
const UNOWNED_METADATA: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The object that an apply creates.
pub(crate) fn initial(config: &Value, manager: &str) -> Value {
    let mut object = config.clone();
    let fields = owned(config);
    write_managers(&mut object, vec![Manager::new(manager, "Apply", fields, config)]);
    object
}

/// `live` with `config` applied in the name of `manager`.
///
/// # Errors
/// 409 when another manager owns a field that `config` changes, unless `force` is set.
pub(crate) fn apply(live: &Value, config: &Value, manager: &str, force: bool) -> ApiResult<Value> {
    let mut managers = read_managers(live);
    let wanted = owned(config);
    let conflicts = conflicts(live, config, manager, &managers, &wanted);
    if !conflicts.is_empty() && !force {
        return Err(ApiError::apply_conflict(conflicts));
    }
    let before = managers
        .iter()
        .position(|one| one.name == manager && one.operation == "Apply");
    let given_up: FieldSet = match before {
        Some(index) => managers
            .remove(index)
            .fields
            .difference(&wanted)
            .cloned()
            .collect(),
        None => FieldSet::new(),
    };
    let mut object = live.clone();
    merge(&mut object, config, "");
    // the longest paths first, so that an item is empty before it is judged itself
    for path in given_up.iter().rev() {
        if !managers.iter().any(|other| other.fields.contains(path)) {
            remove(&mut object, path);
        }
    }
    if force {
        let changed: Vec<FieldPath> = wanted
            .iter()
            .filter(|path| value_at(live, path) != value_at(config, path))
            .cloned()
            .collect();
        for other in &mut managers {
            for path in &changed {
                other.fields.remove(path);
            }
        }
    }
    managers.retain(|other| !other.fields.is_empty());
    managers.push(Manager::new(manager, "Apply", wanted, config));
    write_managers(&mut object, managers);
    keep_times(live, &mut object);
    Ok(object)
}

/// Records what `manager` changed between `live` (nothing when created) and `object`.
pub(crate) fn track(object: &mut Value, live: Option<&Value>, manager: &str, operation: &str) {
    let nothing = Value::Null;
    let live = live.unwrap_or(&nothing);
    let mut managers = read_managers(live);
    let now = owned(object);
    let changed: FieldSet = now
        .iter()
        .filter(|path| value_at(live, path).is_none_or(|before| Some(before) != value_at(object, path)))
        .cloned()
        .collect();
    for other in &mut managers {
        other
            .fields
            .retain(|path| now.contains(path) && (other.name == manager || !changed.contains(path)));
    }
    if !changed.is_empty() {
        let own = managers
            .iter_mut()
            .find(|one| one.name == manager && one.operation == operation);
        match own {
            Some(own) => own.fields.extend(changed),
            None => managers.push(Manager::new(manager, operation, changed, object)),
        }
    }
    managers.retain(|one| !one.fields.is_empty());
    write_managers(object, managers);
    keep_times(live, object);
}

/// One entry of `managedFields`.
struct Manager {
    name: String,
    operation: String,
    api_version: String,
    fields: FieldSet,
    rest: Map<String, Value>,
}

impl Manager {
    fn new(name: &str, operation: &str, fields: FieldSet, object: &Value) -> Self {
        let mut rest = Map::new();
        rest.insert("time".into(), meta::now().into());
        let api_version = meta::text(object, "/apiVersion").to_owned();
        Self {
            name: name.into(),
            operation: operation.into(),
            api_version,
            fields,
            rest,
        }
    }
}

fn read_managers(object: &Value) -> Vec<Manager> {
    let entries = object["metadata"]["managedFields"].as_array();
    let read = |entry: &Value| {
        let mut rest = entry.as_object().cloned().unwrap_or_default();
        let mut fields = FieldSet::new();
        paths_of_record(&entry["fieldsV1"], &mut Vec::new(), &mut fields);
        rest.shift_remove("fieldsV1");
        Manager {
            name: meta::text(entry, "/manager").into(),
            operation: meta::text(entry, "/operation").into(),
            api_version: meta::text(entry, "/apiVersion").into(),
            fields,
            rest,
        }
    };
    entries.into_iter().flatten().map(read).collect()
}

fn write_managers(object: &mut Value, managers: Vec<Manager>) {
    let entry = |manager: Manager| {
        let mut entry = manager.rest;
        entry.insert("manager".into(), manager.name.into());
        entry.insert("operation".into(), manager.operation.into());
        entry.insert("apiVersion".into(), manager.api_version.into());
        entry.insert("fieldsType".into(), "FieldsV1".into());
        entry.insert("fieldsV1".into(), record_of_paths(&manager.fields));
        Value::Object(entry)
    };
    let entries: Vec<Value> = managers.into_iter().map(entry).collect();
    let metadata = meta::metadata(object);
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), entries.into());
    }
}

/// An entry whose fields did not change keeps its time, so that a change of nothing stays one.
fn keep_times(live: &Value, object: &mut Value) {
    let before = live["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let entries = object["metadata"]["managedFields"].as_array_mut();
    for entry in entries.into_iter().flatten() {
        let same = |one: &&Value| {
            ["manager", "operation", "fieldsV1"]
                .iter()
                .all(|field| one[field] == entry[field])
        };
        if let Some(same) = before.iter().find(same) {
            entry["time"] = same["time"].clone();
        }
    }
}

fn conflicts(
    live: &Value,
    config: &Value,
    manager: &str,
    managers: &[Manager],
    wanted: &FieldSet,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let others = managers
        .iter()
        .filter(|other| !(other.name == manager && other.operation == "Apply"));
    for other in others {
        let contested = wanted.intersection(&other.fields);
        for path in contested.filter(|path| value_at(live, path) != value_at(config, path)) {
            let message = match other.operation.as_str() {
                "Apply" => format!("conflict with {:?}", other.name),
                _ => format!("conflict with {:?} using {}", other.name, other.api_version),
            };
            causes.push(Cause {
                reason: "FieldManagerConflict",
                field: readable(path),
                message,
            });
        }
    }
    causes
}

/// The fields that a configuration sets.
fn owned(object: &Value) -> FieldSet {
    let mut fields = FieldSet::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("apiVersion" | "kind", _) => {}
            ("metadata", Value::Object(metadata)) => {
                for (key, value) in metadata
                    .iter()
                    .filter(|(key, _)| !UNOWNED_METADATA.contains(&key.as_str()))
                {
                    collect(
                        value,
                        key,
                        &mut vec!["f:metadata".into(), format!("f:{key}")],
                        &mut fields,
                    );
                }
            }
            _ => collect(value, key, &mut vec![format!("f:{key}")], &mut fields),
        }
    }
    fields
}

fn collect(value: &Value, field: &str, path: &mut FieldPath, fields: &mut FieldSet) {
    match value {
        Value::Null => {}
        Value::Object(map) if !map.is_empty() && !ATOMIC.contains(&field) => {
            for (key, child) in map {
                path.push(format!("f:{key}"));
                collect(child, key, path, fields);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() && is_set(field) => {
            for item in items {
                path.push(format!("v:{item}"));
                fields.insert(path.clone());
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => match merge_key(field, items) {
            Some(key) => {
                for item in items {
                    path.push(format!("k:{}", json!({key: item[key]})));
                    fields.insert(with_self(path));
                    collect(item, "", path, fields);
                    path.pop();
                }
            }
            None => {
                fields.insert(path.clone());
            }
        },
        _ => {
            fields.insert(path.clone());
        }
    }
}

fn with_self(path: &FieldPath) -> FieldPath {
    path.iter().cloned().chain([".".to_owned()]).collect()
}

fn record_of_paths(fields: &FieldSet) -> Value {
    let mut record = json!({});
    for path in fields {
        let mut place = &mut record;
        for step in path {
            if !place[step.as_str()].is_object() {
                place[step.as_str()] = json!({});
            }
            place = &mut place[step.as_str()];
        }
    }
    record
}

fn paths_of_record(record: &Value, path: &mut FieldPath, fields: &mut FieldSet) {
    match record.as_object() {
        Some(map) if !map.is_empty() => {
            for (step, child) in map {
                path.push(step.clone());
                paths_of_record(child, path, fields);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => {
            fields.insert(path.clone());
        }
    }
}

fn step_into<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    if step == "." {
        return Some(value);
    }
    let (kind, rest) = step.split_once(':')?;
    match kind {
        "f" => value.get(rest),
        "v" => value.as_array()?.iter().find(|item| item.to_string() == rest),
        _ => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            value
                .as_array()?
                .iter()
                .find(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
        }
    }
}

fn value_at<'a>(object: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    if path.last().is_some_and(|last| last == ".") {
        // an item is there or not; its fields are judged one by one
        return path
            .iter()
            .try_fold(object, |value, step| step_into(value, step))
            .map(|_| &Value::Null);
    }
    path.iter().try_fold(object, |value, step| step_into(value, step))
}

/// Sets what `config` says in `target`: maps and keyed lists merge, all else is replaced.
fn merge(target: &mut Value, config: &Value, field: &str) {
    match config {
        Value::Object(map) if target.is_object() && !ATOMIC.contains(&field) => {
            for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                merge(&mut target[key.as_str()], value, key);
            }
        }
        Value::Array(items) if target.is_array() => {
            let mut merged = target.as_array().cloned().unwrap_or_default();
            let all: Vec<Value> = merged.iter().chain(items).cloned().collect();
            if is_set(field) {
                merged.extend(
                    items
                        .iter()
                        .filter(|item| !merged.contains(item))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            } else if let Some(key) = merge_key(field, &all) {
                for item in items {
                    match merged.iter_mut().find(|one| one[key] == item[key]) {
                        Some(found) => merge(found, item, ""),
                        None => merged.push(item.clone()),
                    }
                }
            } else {
                merged.clone_from(items);
            }
            *target = merged.into();
        }
        other => *target = other.clone(),
    }
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((last, way)) = path.split_last() else {
        return;
    };
    if last == "." {
        let emptied = way
            .iter()
            .try_fold(&*object, |value, step| step_into(value, step));
        // an item that only its key is left of goes; one that others still fill stays
        if emptied
            .and_then(Value::as_object)
            .is_some_and(|item| item.len() <= 1)
        {
            remove(object, way);
        }
        return;
    }
    let mut place = object;
    for step in way {
        let Some(next) = step_into_mut(place, step) else {
            return;
        };
        place = next;
    }
    match (place, last.split_once(':')) {
        (Value::Object(map), Some(("f", key))) => {
            map.shift_remove(key);
        }
        (Value::Array(items), Some(("v", text))) => items.retain(|item| item.to_string() != text),
        (list @ Value::Array(_), Some(("k", _))) => {
            let gone = step_into(list, last).cloned();
            if let Value::Array(items) = list {
                items.retain(|item| Some(item) != gone.as_ref());
            }
        }
        _ => {}
    }
}

fn step_into_mut<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    let (kind, rest) = step.split_once(':')?;
    if kind == "f" {
        return value.get_mut(rest);
    }
    let found = step_into(value, step)?.clone();
    value.as_array_mut()?.iter_mut().find(|item| **item == found)
}

/// `.spec.containers[name="a"].image`, as messages name a field.
fn readable(path: &FieldPath) -> String {
    let mut text = String::new();
    for step in path.iter().filter(|step| *step != ".") {
        match step.split_once(':') {
            Some(("f", name)) => text.push_str(&format!(".{name}")),
            Some(("k", keys)) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                text.push_str(&format!("[{}]", keys.join(",")));
            }
            Some((_, value)) => text.push_str(&format!("[={value}]")),
            None => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(image: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "1"}},
            "spec": {"containers": [{"name": "c", "image": image}]}})
    }

    #[test]
    fn what_a_manager_no_longer_applies_is_removed() {
        let live = initial(&config("one"), "me");
        let mut next = config("one");
        next["metadata"]["labels"] = json!({"y": "2"});
        let applied = apply(&live, &next, "me", false).unwrap();
        assert_eq!(applied["metadata"]["labels"], json!({"y": "2"}));
    }

    #[test]
    fn a_field_of_another_manager_is_a_conflict_unless_forced() {
        let live = initial(&config("one"), "me");
        let error = apply(&live, &config("two"), "you", false).unwrap_err();
        assert_eq!(
            error.message(),
            r#"Apply failed with 1 conflict: conflict with "me": .spec.containers[name="c"].image"#
        );
        let forced = apply(&live, &config("two"), "you", true).unwrap();
        assert_eq!(forced["spec"]["containers"][0]["image"], "two");
        assert!(
            apply(&forced, &config("one"), "me", false).is_err(),
            "the field changed hands"
        );
    }

    #[test]
    fn agreeing_managers_share_a_field() {
        let live = initial(&config("one"), "me");
        let shared = apply(&live, &config("one"), "you", false).unwrap();
        let left = apply(
            &shared,
            &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}),
            "me",
            false,
        );
        assert_eq!(left.unwrap()["spec"]["containers"][0]["image"], "one");
    }

    #[test]
    fn the_same_apply_twice_changes_nothing() {
        let live = initial(&config("one"), "me");
        assert_eq!(apply(&live, &config("one"), "me", false).unwrap(), live);
    }

    #[test]
    fn an_item_that_nobody_owns_any_more_goes() {
        let mut two = config("one");
        two["spec"]["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "d", "image": "x"}));
        let live = initial(&two, "me");
        let applied = apply(&live, &config("one"), "me", false).unwrap();
        assert_eq!(applied["spec"]["containers"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_update_takes_the_fields_that_it_changes() {
        let live = initial(&config("one"), "me");
        let mut updated = live.clone();
        updated["spec"]["containers"][0]["image"] = "three".into();
        track(&mut updated, Some(&live), "kubectl", "Update");
        let error = apply(&updated, &config("one"), "me", false).unwrap_err();
        assert!(
            error
                .message()
                .contains(r#"conflict with "kubectl" using v1: .spec.containers[name="c"].image"#)
        );
    }
}
