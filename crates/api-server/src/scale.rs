//! The `scale` subresource: the number of replicas, the same for every kind that has one.

use serde_json::{Value, json};

use crate::{
    meta,
    registry::Kind,
    status::{ApiError, ApiResult, Cause},
};

/// The `Scale` of an object.
pub(crate) fn of(object: &Value) -> Value {
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let pairs = labels.into_iter().flatten();
    let selector: Vec<_> = pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let metadata = &object["metadata"];
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector.join(","),
        },
    })
}

/// The object with the replicas, and under the precondition, that `scale` asks for.
///
/// # Errors
/// 422 when the replicas are no number from 0 on.
pub(crate) fn applied(kind: &Kind, live: &Value, scale: &Value) -> ApiResult<Value> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0.into(),
        given => given.clone(),
    };
    if replicas.as_i64().is_none_or(|replicas| replicas < 0) {
        let cause = Cause::invalid("spec.replicas", &replicas, "must be greater than or equal to 0");
        return Err(ApiError::invalid(kind, meta::name(live), &[cause]));
    }
    let mut object = live.clone();
    object["spec"]["replicas"] = replicas;
    let metadata = meta::metadata(&mut object);
    match scale["metadata"]["resourceVersion"]
        .as_str()
        .filter(|version| !version.is_empty())
    {
        Some(version) => metadata.insert("resourceVersion".into(), version.into()),
        None => metadata.remove("resourceVersion"),
    };
    Ok(object)
}
