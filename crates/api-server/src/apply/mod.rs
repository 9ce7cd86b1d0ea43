//! Server-side apply, and the record of who owns which field.
//!
//! Source of the rules: "Server-Side Apply" of the Kubernetes documentation.

mod difference;
mod field_set;
mod managers;

use serde_json::{Map, Value, json};

pub(crate) use self::managers::Writer;
use self::{
    difference::{Difference, fields_of},
    field_set::{FieldPath, FieldSet, readable},
    managers::Manager,
};
use crate::{
    merge::lists::{ListRule, is_atomic_map, key_value},
    meta,
    status::{ApiError, ApiResult, Cause},
};

/// The object that an apply creates.
pub(crate) fn initial(config: &Value, writer: &Writer) -> Value {
    let mut object = config.clone();
    let manager = Manager::new(writer, config, fields_of(config));
    managers::write(&mut object, vec![manager]);
    object
}

/// `live` with `config` applied by `writer`.
///
/// # Errors
/// 409 when another manager owns a field that `config` changes, unless `force` is set.
pub(crate) fn apply(live: &Value, config: &Value, writer: &Writer, force: bool) -> ApiResult<Value> {
    let mut managers = managers::read(&live["metadata"]["managedFields"]);
    let before = managers
        .iter()
        .position(|manager| manager.is(writer))
        .map(|place| managers.remove(place));
    let wanted = fields_of(config);
    let mut object = live.clone();
    merge(&mut object, config, "", "");
    let written = Difference::between(live, &object).written;
    let mut conflicts = conflicts(&managers, &written);
    if writer.name == CLIENT_SIDE_SUCCESSOR {
        let allowed = fields_as_last_applied(live);
        conflicts.retain(|conflict| !allowed.contains(&conflict.path));
    }
    if !conflicts.is_empty() && !force {
        return Err(ApiError::apply_conflict(&conflicts));
    }
    for other in &mut managers {
        other.fields.retain(|path| !written.contains(path));
    }
    if let Some(before) = &before {
        for path in before.fields.iter().filter(|path| !wanted.contains(path)) {
            give_up(&mut object, path, &wanted, &managers);
        }
    }
    let mut manager = Manager::new(writer, config, wanted);
    if let Some(before) = before.filter(|before| before.fields == manager.fields && *live == object) {
        manager.time = before.time;
    }
    managers.push(manager);
    managers::write(&mut object, managers);
    Ok(object)
}

/// Records that `writer` made `object` of `live`, which is nothing when it was created.
pub(crate) fn track(object: &mut Value, live: Option<&Value>, writer: &Writer) {
    let nothing = Value::Null;
    let live = live.unwrap_or(&nothing);
    let Difference { written, removed } = Difference::between(live, object);
    // a client may rewrite the record itself, but not drop it by leaving it out
    let sent = &object["metadata"]["managedFields"];
    if *sent == json!([{}]) {
        // that is how a client asks for the record to be cleared
        meta::metadata(object).shift_remove("managedFields");
        return;
    }
    let record = if sent.as_array().is_none_or(Vec::is_empty) {
        &live["metadata"]["managedFields"]
    } else {
        sent
    };
    if written.is_empty() && removed.is_empty() {
        let record = record.clone();
        if !record.is_null() {
            meta::metadata(object).insert("managedFields".into(), record);
        }
        return;
    }
    let mut managers = managers::read(record);
    for manager in &mut managers {
        let own = manager.is(writer);
        manager
            .fields
            .retain(|path| !removed.contains(path) && (own || !written.contains(path)));
    }
    match managers.iter_mut().find(|manager| manager.is(writer)) {
        Some(own) => {
            own.fields.extend(&written);
            own.time = meta::now();
        }
        None => managers.push(Manager::new(writer, object, written)),
    }
    managers::write(object, managers);
}

/// A field that belongs to another manager.
pub(crate) struct Conflict {
    path: FieldPath,
    manager: String,
}

impl Conflict {
    /// The manager, as messages name it.
    pub(crate) fn manager(&self) -> &str {
        &self.manager
    }

    pub(crate) fn cause(&self) -> Cause {
        Cause {
            reason: "FieldManagerConflict",
            field: readable(&self.path),
            message: format!("conflict with {}", self.manager),
        }
    }
}

/// The fields that `written` takes from other managers.
fn conflicts(managers: &[Manager], written: &FieldSet) -> Vec<Conflict> {
    let of_manager = |manager: &Manager| -> Vec<Conflict> {
        let contested = written.iter().filter(|path| manager.fields.contains(path));
        contested
            .map(|path| Conflict {
                path: path.clone(),
                manager: manager.described(),
            })
            .collect()
    };
    managers.iter().flat_map(of_manager).collect()
}

/// The manager that may take over what a client-side apply wrote.
///
/// Source: `lastappliedmanager.go` of `k8s.io/apimachinery/pkg/util/managedfields`.
const CLIENT_SIDE_SUCCESSOR: &str = "kubectl";

/// The fields that are still as the last client-side apply set them.
fn fields_as_last_applied(live: &Value) -> FieldSet {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let text = live["metadata"]["annotations"][annotation]
        .as_str()
        .unwrap_or_default();
    let Ok(last) = serde_json::from_str::<Value>(text) else {
        return FieldSet::default();
    };
    let Difference { written, removed } = Difference::between(&last, live);
    let mut fields = fields_of(&last);
    fields.retain(|path| !written.contains(path) && !removed.contains(path));
    fields
}

/// Sets what `config` says in `target`: maps and keyed lists merge, all else is replaced.
fn merge(target: &mut Value, config: &Value, parent: &str, field: &str) {
    match (&mut *target, config) {
        (Value::Object(target), Value::Object(config)) if !is_atomic_map(parent, field) => {
            for (key, value) in config.iter().filter(|(_, value)| !value.is_null()) {
                merge(target.entry(key).or_insert(Value::Null), value, field, key);
            }
        }
        (Value::Array(target), Value::Array(config)) => match ListRule::of(parent, field) {
            ListRule::Set => {
                let new: Vec<Value> = config
                    .iter()
                    .filter(|value| !target.contains(value))
                    .cloned()
                    .collect();
                target.extend(new);
            }
            rule if !rule.apply_keys().is_empty() => {
                merge_items(target, config, rule.apply_keys(), parent, field);
            }
            _ => target.clone_from(config),
        },
        (target, config) => *target = config.clone(),
    }
}

fn merge_items(target: &mut Vec<Value>, config: &[Value], keys: &[&str], parent: &str, field: &str) {
    let same = |one: &Value, other: &Value| {
        keys.iter()
            .all(|key| key_value(one, key) == key_value(other, key))
    };
    for item in config {
        match target.iter_mut().find(|one| same(one, item)) {
            Some(found) => merge(found, item, parent, field),
            None => target.push(item.clone()),
        }
    }
}

/// Removes what the applier no longer wants at `path`: as much as neither it nor anybody else still
/// wants something of.
fn give_up(object: &mut Value, path: &FieldPath, wanted: &FieldSet, others: &[Manager]) {
    let is_kept =
        |place: &[String]| wanted.reaches(place) || others.iter().any(|other| other.fields.reaches(place));
    let path = path.strip_suffix(&[".".to_owned()]).unwrap_or(path);
    let place = (1..=path.len())
        .map(|length| &path[..length])
        .find(|place| !is_kept(place));
    if let Some(place) = place {
        remove(object, place);
    }
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((last, way)) = path.split_last() else {
        return;
    };
    let Some(place) = way.iter().try_fold(object, |value, step| step_into(value, step)) else {
        return;
    };
    match (place, last.split_once(':')) {
        // an item that stays keeps what tells it apart
        (Value::Object(map), Some(("f", key))) if !way.last().is_some_and(|item| has_key(item, key)) => {
            map.shift_remove(key);
        }
        (Value::Array(items), Some(("v", text))) => items.retain(|item| is_not_written(item, text)),
        (Value::Array(items), Some(("k", keys))) => {
            let keys = parse_keys(keys);
            items.retain(|item| !has_keys(item, &keys));
        }
        _ => {}
    }
}

/// Whether `step` leads to an item that `key` tells apart.
fn has_key(step: &str, key: &str) -> bool {
    step.strip_prefix("k:")
        .is_some_and(|keys| parse_keys(keys).contains_key(key))
}

/// What a step wrote cannot but be read again.
fn parse_keys(keys: &str) -> Map<String, Value> {
    serde_json::from_str(keys).unwrap_or_default()
}

fn step_into<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if let Some(keys) = step.strip_prefix("k:") {
        let keys = parse_keys(keys);
        return value
            .as_array_mut()?
            .iter_mut()
            .find(|item| has_keys(item, &keys));
    }
    value.get_mut(step.strip_prefix("f:")?)
}

fn has_keys(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter().all(|(key, value)| key_value(item, key) == *value)
}

/// Whether `item` is written otherwise than `text`, as JSON.
fn is_not_written(item: &Value, text: &str) -> bool {
    let written = item.to_string();
    written != text
}

#[cfg(test)]
mod tests;
