//! The patch kinds: JSON (RFC 6902), merge (RFC 7386), strategic merge, and the recognition of apply.
//!
//! Source of the merge keys: the `patchMergeKey` tags of the Kubernetes API types.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    resource::parse_body,
    status::{ApiError, ApiResult},
};

/// A patch as sent.
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    /// Server-side apply: a configuration rather than a change.
    Apply(Value),
}

impl Patch {
    pub(crate) fn parse(content_type: &str, body: &Bytes) -> ApiResult<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => serde_json::from_slice(body)
                .map(Self::Json)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}"))),
            "application/merge-patch+json" => Ok(Self::Merge(parse_body(body)?)),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic(parse_body(body)?)),
            "application/apply-patch+yaml" => Ok(Self::Apply(parse_yaml(body)?)),
            other => Err(ApiError::new(
                http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, \
                     application/strategic-merge-patch+json, application/apply-patch+yaml; found {other:?}"
                ),
            )),
        }
    }

    /// The object with this patch applied.
    ///
    /// # Errors
    /// When an operation does not fit the object.
    pub(crate) fn applied_to(&self, object: &Value) -> ApiResult<Value> {
        let mut patched = object.clone();
        match self {
            Self::Json(patch) => json_patch::patch(&mut patched, patch).map_err(|error| {
                ApiError::new(
                    http::StatusCode::UNPROCESSABLE_ENTITY,
                    "Invalid",
                    format!("the server rejected our request due to an error in our request: {error}"),
                )
            })?,
            Self::Merge(patch) => json_patch::merge(&mut patched, patch),
            Self::Strategic(patch) => strategic(&mut patched, patch),
            Self::Apply(_) => return Err(ApiError::internal("an apply is no change")),
        }
        Ok(patched)
    }
}

fn parse_yaml(body: &Bytes) -> ApiResult<Value> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))
}

/// The field by which items of the list `field` are told apart; `None` for lists that are replaced whole.
pub(crate) fn merge_key(field: &str, items: &[Value]) -> Option<&'static str> {
    let key = match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "secrets"
        | "schedulingGates"
        | "resourceClaims" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" if items.iter().any(|item| item.get("containerPort").is_some()) => "containerPort",
        "ports" => "port",
        "hostAliases" | "podIPs" | "hostIPs" => "ip",
        "conditions" | "addresses" => "type",
        "ownerReferences" => "uid",
        "topologySpreadConstraints" => "topologyKey",
        "taints" => "key",
        _ => return None,
    };
    // lists of these names hold plain strings elsewhere
    items.iter().all(|item| item.get(key).is_some()).then_some(key)
}

/// Whether the list `field` is a set of values.
pub(crate) fn is_set(field: &str) -> bool {
    matches!(field, "finalizers" | "loadBalancerSourceRanges" | "podCIDRs")
}

fn strategic(target: &mut Value, patch: &Value) {
    let (Value::Object(target), Value::Object(patch)) = (&mut *target, patch) else {
        *target = patch.clone();
        return;
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = without_directives(patch);
            return;
        }
        Some("delete") => {
            target.clear();
            return;
        }
        _ => {}
    }
    if let Some(retained) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|key, _| retained.iter().any(|one| one == key));
    }
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let list = target.get_mut(field).and_then(Value::as_array_mut);
            if let (Some(list), Some(gone)) = (list, value.as_array()) {
                list.retain(|item| !gone.contains(item));
            }
        } else if !key.starts_with('$') {
            strategic_field(target, key, value);
        }
    }
    // orders are set when the lists are merged
    for (key, order) in patch {
        if let (Some(field), Some(order)) = (key.strip_prefix("$setElementOrder/"), order.as_array())
            && let Some(list) = target.get_mut(field).and_then(Value::as_array_mut)
        {
            reorder(field, list, order);
        }
    }
}

fn strategic_field(target: &mut Map<String, Value>, key: &str, value: &Value) {
    match value {
        Value::Null => {
            target.shift_remove(key);
        }
        Value::Object(_) => {
            let entry = target.entry(key).or_insert_with(|| Value::Object(Map::new()));
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            strategic(entry, value);
        }
        Value::Array(items) => {
            let current = target
                .get(key)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            target.insert(key.to_owned(), strategic_list(key, current, items).into());
        }
        other => {
            target.insert(key.to_owned(), other.clone());
        }
    }
}

fn strategic_list(field: &str, current: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    let mut merged = current;
    if is_set(field) {
        let added: Vec<Value> = patch
            .iter()
            .filter(|item| !merged.contains(item))
            .cloned()
            .collect();
        merged.extend(added);
        return merged;
    }
    let is_replace =
        |item: &Value| item["$patch"] == "replace" && item.as_object().is_some_and(|item| item.len() == 1);
    if patch.iter().any(is_replace) {
        return patch.iter().filter(|item| !is_replace(item)).cloned().collect();
    }
    let all: Vec<Value> = merged.iter().chain(patch).cloned().collect();
    let Some(merge_key) = merge_key(field, &all) else {
        return patch.to_vec();
    };
    for item in patch {
        let place = merged.iter().position(|one| one[merge_key] == item[merge_key]);
        match (item["$patch"].as_str(), place) {
            (Some("delete"), Some(place)) => {
                merged.remove(place);
            }
            (Some("delete"), None) => {}
            (_, Some(place)) => strategic(&mut merged[place], item),
            (_, None) => {
                let mut added = Value::Object(Map::new());
                strategic(&mut added, item);
                merged.push(added);
            }
        }
    }
    merged
}

/// Puts the items named in `order` in that order, the others behind them.
fn reorder(field: &str, list: &mut [Value], order: &[Value]) {
    let place = |found: Option<usize>| found.unwrap_or(usize::MAX);
    match merge_key(field, list) {
        Some(key) => list.sort_by_key(|item| place(order.iter().position(|one| one[key] == item[key]))),
        None if is_set(field) => list.sort_by_key(|item| place(order.iter().position(|one| one == item))),
        None => {}
    }
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    let kept = patch.iter().filter(|(key, _)| !key.starts_with('$'));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn patched(object: &Value, patch: Value) -> Value {
        Patch::Strategic(patch).applied_to(object).unwrap()
    }

    fn pod() -> Value {
        json!({"spec": {"containers": [
            {"name": "a", "image": "one", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "b", "image": "two"},
        ], "nodeSelector": {"x": "y"}}})
    }

    #[rstest]
    #[case::item_by_key(
        json!({"spec": {"containers": [{"name": "b", "image": "three"}]}}),
        "/spec/containers/1/image", json!("three")
    )]
    #[case::nested_item(
        json!({"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "$patch": "delete"}]}]}}),
        "/spec/containers/0/env", json!([{"name": "X", "value": "1"}])
    )]
    #[case::added_item(
        json!({"spec": {"containers": [{"name": "c"}]}}), "/spec/containers/2", json!({"name": "c"})
    )]
    #[case::null_deletes(json!({"spec": {"nodeSelector": null}}), "/spec/nodeSelector", Value::Null)]
    #[case::replaced_map(
        json!({"spec": {"nodeSelector": {"$patch": "replace", "z": "w"}}}), "/spec/nodeSelector", json!({"z": "w"})
    )]
    #[case::ordered(
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
        "/spec/containers/0/name", json!("b")
    )]
    fn strategic_patches_know_the_lists(
        #[case] patch: Value,
        #[case] pointer: &str,
        #[case] expected: Value,
    ) {
        let result = patched(&pod(), patch);
        assert_eq!(result.pointer(pointer).cloned().unwrap_or_default(), expected);
    }

    #[test]
    fn a_set_of_values_is_merged_and_thinned() {
        let object = json!({"metadata": {"finalizers": ["a", "b"]}});
        let merged = patched(&object, json!({"metadata": {"finalizers": ["c"]}}));
        assert_eq!(merged["metadata"]["finalizers"], json!(["a", "b", "c"]));
        let thinned = patched(
            &merged,
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
        );
        assert_eq!(thinned["metadata"]["finalizers"], json!(["b", "c"]));
    }

    fn maps() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            "[a-c]{1,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop::collection::btree_map("[a-d]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn without_lists_and_directives_strategic_is_merge(object in maps(), patch in maps()) {
            prop_assume!(object.is_object() && patch.is_object());
            let strategic = Patch::Strategic(patch.clone()).applied_to(&object).unwrap();
            let merged = Patch::Merge(patch).applied_to(&object).unwrap();
            prop_assert_eq!(strategic, merged);
        }

        #[test]
        fn a_strategic_patch_applied_twice_is_applied_once(patch in maps()) {
            let patch = json!({"spec": {"nodeSelector": patch}});
            let once = patched(&pod(), patch.clone());
            prop_assert_eq!(patched(&once, patch), once);
        }
    }
}
