//! The values of fields that were left out.
//!
//! Source: `zz_generated.defaults.go` and `defaults.go` of each API group of Kubernetes 1.34.

mod network;
mod pod;
mod storage;
mod workload;

use serde_json::{Value, json};

use crate::{meta, registry::Kind};

/// Fills in what Kubernetes fills in.
pub(crate) fn apply(kind: &Kind, object: &mut Value) {
    match kind.kind {
        "Pod" => pod::pod(object),
        "Deployment" => workload::deployment(&mut object["spec"]),
        "ReplicaSet" => workload::replica_set(&mut object["spec"]),
        "StatefulSet" => workload::stateful_set(&mut object["spec"]),
        "DaemonSet" => workload::daemon_set(&mut object["spec"]),
        "Job" => workload::job(object),
        "CronJob" => workload::cron_job(&mut object["spec"]),
        "HorizontalPodAutoscaler" => workload::autoscaler(&mut object["spec"]),
        "Service" => network::service(&mut object["spec"]),
        "Endpoints" => network::endpoints(object),
        "EndpointSlice" => network::endpoint_slice(object),
        "NetworkPolicy" => network::network_policy(&mut object["spec"]),
        "PersistentVolumeClaim" => storage::claim(object),
        "PersistentVolume" => storage::volume(object),
        "StorageClass" => storage::class(object),
        "Secret" => default(object, "type", "Opaque"),
        "Namespace" => namespace(object),
        "RoleBinding" | "ClusterRoleBinding" => binding(object),
        "PriorityClass" => default(object, "preemptionPolicy", "PreemptLowerPriority"),
        _ => {}
    }
}

fn namespace(object: &mut Value) {
    let name = meta::name(object).to_owned();
    let labels = &mut object["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    labels["kubernetes.io/metadata.name"] = name.into();
}

fn binding(object: &mut Value) {
    const RBAC: &str = "rbac.authorization.k8s.io";
    within(object, "roleRef", |role| default_empty(role, "apiGroup", RBAC));
    each(object, "subjects", |subject| {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            default_empty(subject, "apiGroup", RBAC);
        }
    });
}

/// Sets a field that is absent.
fn default(object: &mut Value, key: &str, fallback: impl Into<Value>) {
    if let Value::Object(fields) = object {
        meta::default_to(fields, key, fallback);
    }
}

/// Sets a field that is absent or an empty string.
fn default_empty(object: &mut Value, key: &str, fallback: impl Into<Value>) {
    if object[key].as_str().is_none_or(str::is_empty) {
        object[key] = fallback.into();
    }
}

/// Does something to a field that is an object.
fn within(object: &mut Value, key: &str, change: impl FnOnce(&mut Value)) {
    if let Some(child) = object.get_mut(key).filter(|child| child.is_object()) {
        change(child);
    }
}

/// Does something to each item of a field that is a list.
fn each(object: &mut Value, key: &str, change: impl FnMut(&mut Value)) {
    if let Some(items) = object.get_mut(key).and_then(Value::as_array_mut) {
        items.iter_mut().for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::named;

    fn defaulted(kind: &str, mut object: Value) -> Value {
        apply(named(kind), &mut object);
        object
    }

    #[test]
    fn defaults_are_filled_in_once() {
        let deployment = json!({
            "metadata": {"name": "a"},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}},
        });
        let once = defaulted("Deployment", deployment);
        assert_eq!(defaulted("Deployment", once.clone()), once);
        insta::assert_yaml_snapshot!(once);
    }
}
