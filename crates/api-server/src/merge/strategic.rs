//! Strategic merge patch.
//!
//! Source: "Strategic Merge Patch" of the Kubernetes community documents, and the behaviour of
//! `k8s.io/apimachinery/pkg/util/strategicpatch`.

use serde_json::{Map, Value};

use super::lists::ListRule;
use crate::status::{ApiError, ApiResult};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// Patches a whole object.
///
/// # Errors
/// 400 when an item lacks the field that tells it apart or a directive is unknown.
pub(super) fn merge(object: &mut Value, patch: &Value) -> ApiResult<()> {
    match (&mut *object, patch) {
        (Value::Object(target), Value::Object(patch)) => merge_map(target, patch, ""),
        _ => Err(ApiError::bad_request("a strategic merge patch is an object")),
    }
}

/// `field` is the name of the field that holds `target`.
fn merge_map(target: &mut Map<String, Value>, patch: &Map<String, Value>, field: &str) -> ApiResult<()> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            target.clear();
            let kept = patch.iter().filter(|(key, _)| *key != DIRECTIVE);
            target.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some(other) => return Err(unknown_directive(other)),
    }
    if let Some(retained) = patch.get(RETAIN).and_then(Value::as_array) {
        target.retain(|key, _| retained.iter().any(|one| one == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_VALUES) {
            delete_values(target, list, value);
        } else if !key.starts_with('$') {
            merge_field(target, field, key, value)?;
        }
    }
    // an order is about the list as it is when everything else is done
    for (key, order) in patch {
        if let (Some(name), Some(order)) = (key.strip_prefix(ORDER), order.as_array())
            && let Some(Value::Array(list)) = target.get_mut(name)
        {
            reorder(list, order, ListRule::of(field, name));
        }
    }
    Ok(())
}

fn merge_field(target: &mut Map<String, Value>, parent: &str, key: &str, value: &Value) -> ApiResult<()> {
    match value {
        Value::Null => {
            target.shift_remove(key);
        }
        Value::Object(patch) => {
            let current = target.entry(key).or_insert_with(|| Value::Object(Map::new()));
            if !current.is_object() {
                *current = Value::Object(Map::new());
            }
            if let Value::Object(current) = current {
                merge_map(current, patch, key)?;
            }
        }
        Value::Array(patch) => {
            let current = match target.get_mut(key).map(Value::take) {
                Some(Value::Array(current)) => current,
                _ => Vec::new(),
            };
            let merged = merge_list(current, patch, key, ListRule::of(parent, key))?;
            target.insert(key.to_owned(), merged.into());
        }
        plain => {
            target.insert(key.to_owned(), plain.clone());
        }
    }
    Ok(())
}

fn merge_list(
    mut current: Vec<Value>,
    patch: &[Value],
    field: &str,
    rule: ListRule,
) -> ApiResult<Vec<Value>> {
    let key = match rule {
        ListRule::Atomic => return Ok(patch.to_vec()),
        ListRule::Set => {
            for value in patch {
                if !current.contains(value) {
                    current.push(value.clone());
                }
            }
            return Ok(current);
        }
        ListRule::Keyed { patch, .. } => patch,
    };
    if patch.iter().any(|item| item[DIRECTIVE] == "replace") {
        let kept = patch.iter().filter(|item| item[DIRECTIVE] != "replace");
        return Ok(kept.cloned().collect());
    }
    for item in patch {
        let Some(fields) = item.as_object().filter(|fields| fields.contains_key(key)) else {
            return Err(ApiError::bad_request(format!(
                "{field}: {item} does not contain declared merge key: {key}"
            )));
        };
        let place = current.iter().position(|one| one[key] == item[key]);
        match (fields.get(DIRECTIVE).and_then(Value::as_str), place) {
            (Some("delete"), _) => current.retain(|one| one[key] != item[key]),
            (None | Some("merge"), Some(place)) => {
                if let Value::Object(found) = &mut current[place] {
                    merge_map(found, fields, field)?;
                }
            }
            (None | Some("merge"), None) => {
                let mut added = Map::new();
                merge_map(&mut added, fields, field)?;
                current.push(added.into());
            }
            (Some(other), _) => return Err(unknown_directive(other)),
        }
    }
    Ok(current)
}

fn delete_values(target: &mut Map<String, Value>, list: &str, gone: &Value) {
    if let (Some(Value::Array(list)), Value::Array(gone)) = (target.get_mut(list), gone) {
        list.retain(|value| !gone.contains(value));
    }
}

/// Puts the items that `order` names in that order. Each of the others keeps its place before the named
/// ones that it was in front of.
fn reorder(list: &mut Vec<Value>, order: &[Value], rule: ListRule) {
    let same = |one: &Value, other: &Value| match rule {
        ListRule::Keyed { patch: key, .. } => one[key] == other[key],
        ListRule::Set => one == other,
        ListRule::Atomic => false,
    };
    let (mut named, others): (Vec<_>, Vec<_>) = std::mem::take(list)
        .into_iter()
        .enumerate()
        .partition(|(_, item)| order.iter().any(|one| same(one, item)));
    named.sort_by_key(|(_, item)| order.iter().position(|one| same(one, item)));
    let mut named = named.into_iter().peekable();
    for (place, other) in others {
        while let Some((_, item)) = named.next_if(|(named_place, _)| *named_place < place) {
            list.push(item);
        }
        list.push(other);
    }
    list.extend(named.map(|(_, item)| item));
}

fn unknown_directive(found: &str) -> ApiError {
    ApiError::bad_request(format!(
        "unknown {DIRECTIVE} directive {found:?}: allowed are delete, merge, replace"
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({"spec": {"containers": [
            {"name": "a", "image": "one", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "b", "image": "two", "args": ["x", "y"]},
        ], "nodeSelector": {"x": "y"}}})
    }

    fn patched(mut object: Value, patch: &Value) -> Value {
        merge(&mut object, patch).unwrap();
        object
    }

    #[rstest]
    #[case::item_by_key(
        json!({"spec": {"containers": [{"name": "b", "image": "three"}]}}),
        "/spec/containers/1", json!({"name": "b", "image": "three", "args": ["x", "y"]})
    )]
    #[case::nested_item_deleted(
        json!({"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "$patch": "delete"}]}]}}),
        "/spec/containers/0/env", json!([{"name": "X", "value": "1"}])
    )]
    #[case::list_replaced(
        json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}),
        "/spec/containers", json!([{"name": "c"}])
    )]
    #[case::atomic_list(
        json!({"spec": {"containers": [{"name": "b", "args": ["z"]}]}}), "/spec/containers/1/args", json!(["z"])
    )]
    #[case::added_item(
        json!({"spec": {"containers": [{"name": "c", "image": null}]}}), "/spec/containers/2", json!({"name": "c"})
    )]
    #[case::null_deletes(json!({"spec": {"nodeSelector": null}}), "/spec/nodeSelector", Value::Null)]
    #[case::map_replaced(
        json!({"spec": {"nodeSelector": {"$patch": "replace", "z": "w"}}}), "/spec/nodeSelector", json!({"z": "w"})
    )]
    #[case::map_deleted(
        json!({"spec": {"nodeSelector": {"$patch": "delete"}}}), "/spec/nodeSelector", json!({})
    )]
    #[case::keys_retained(
        json!({"spec": {"$retainKeys": ["nodeSelector"], "nodeSelector": {"a": "b"}}}),
        "/spec", json!({"nodeSelector": {"x": "y", "a": "b"}})
    )]
    fn directives_do_what_they_say(#[case] patch: Value, #[case] pointer: &str, #[case] expected: Value) {
        let result = patched(pod(), &patch);
        assert_eq!(result.pointer(pointer).cloned().unwrap_or_default(), expected);
    }

    #[rstest]
    #[case(&["b", "a"], &["b", "a"])]
    #[case(&["b", "c", "a"], &["b", "c", "a"])]
    #[case(&["b"], &["a", "b"])]
    fn an_order_is_kept(#[case] order: &[&str], #[case] expected: &[&str]) {
        let order: Vec<Value> = order.iter().map(|name| json!({"name": name})).collect();
        let patch = json!({"spec": {"$setElementOrder/containers": order, "containers": order}});
        let result = patched(pod(), &patch);
        let names: Vec<&str> = result["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn sets_are_merged_and_thinned() {
        let object = json!({"metadata": {"finalizers": ["a", "b"]}});
        let merged = patched(object, &json!({"metadata": {"finalizers": ["c", "a"]}}));
        assert_eq!(merged["metadata"]["finalizers"], json!(["a", "b", "c"]));
        let thinned = patched(
            merged,
            &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
        );
        assert_eq!(thinned["metadata"]["finalizers"], json!(["b", "c"]));
    }

    #[test]
    fn the_same_field_merges_by_its_place() {
        let service = json!({"spec": {"ports": [{"port": 80, "name": "a"}]}});
        let patch = json!({"spec": {"ports": [{"port": 80, "name": "b"}, {"port": 81}]}});
        assert_eq!(
            patched(service, &patch)["spec"]["ports"],
            json!([{"port": 80, "name": "b"}, {"port": 81}])
        );
        let slice = json!({"ports": [{"port": 80, "name": "a"}]});
        let patch = json!({"ports": [{"port": 80}]});
        assert_eq!(patched(slice, &patch), patch);
    }

    #[rstest]
    #[case(json!({"spec": {"containers": [{"image": "x"}]}}), "does not contain declared merge key: name")]
    #[case(json!({"spec": {"$patch": "burn"}}), "unknown $patch directive")]
    #[case(json!([]), "is an object")]
    fn what_cannot_be_merged_is_refused(#[case] patch: Value, #[case] expected: &str) {
        let error = merge(&mut pod(), &patch).unwrap_err();
        assert!(error.message().contains(expected), "{}", error.message());
    }
}
