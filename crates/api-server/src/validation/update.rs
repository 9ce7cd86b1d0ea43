//! What may not change once an object exists.

use serde_json::{Value, json};

use crate::{meta, registry::Kind, status::Cause};

/// Adds the fields that `object` may not have changed since `live`.
pub(super) fn check(kind: &Kind, object: &Value, live: &Value, causes: &mut Vec<Cause>) {
    let mut fixed = |field: &str, pointer: &str| {
        let (after, before) = (object.pointer(pointer), live.pointer(pointer));
        if before.is_some_and(|before| !before.is_null()) && after != before {
            causes.push(Cause::invalid(
                field,
                after.unwrap_or(&Value::Null),
                "field is immutable",
            ));
        }
    };
    match kind.kind {
        "Deployment" | "ReplicaSet" | "DaemonSet" => fixed("spec.selector", "/spec/selector"),
        "Job" => {
            fixed("spec.selector", "/spec/selector");
            fixed("spec.completions", "/spec/completions");
            fixed("spec.template", "/spec/template");
        }
        "Service" if object["spec"]["type"] == live["spec"]["type"] => {
            fixed("spec.clusterIPs[0]", "/spec/clusterIP");
        }
        "Secret" => {
            fixed("type", "/type");
            data(object, live, causes);
        }
        "ConfigMap" => data(object, live, causes),
        "StorageClass" => {
            fixed("provisioner", "/provisioner");
            fixed("parameters", "/parameters");
        }
        "StatefulSet" => stateful_set(&object["spec"], &live["spec"], causes),
        "PersistentVolumeClaim" => claim(&object["spec"], &live["spec"], causes),
        "Pod" => pod(&object["spec"], &live["spec"], causes),
        _ => {}
    }
    finalizers(object, live, causes);
}

/// What ends is held by what held it before.
fn finalizers(object: &Value, live: &Value, causes: &mut Vec<Cause>) {
    if !meta::is_deleting(live) {
        return;
    }
    let before = meta::names_at(live, "/metadata/finalizers");
    let mut new = meta::names_at(object, "/metadata/finalizers");
    new.retain(|finalizer| !before.contains(finalizer));
    if !new.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers {new:?}"
        );
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
}

fn data(object: &Value, live: &Value, causes: &mut Vec<Cause>) {
    if live["immutable"] != true {
        return;
    }
    for field in ["immutable", "data", "binaryData"] {
        if object[field] != live[field] {
            causes.push(Cause::forbidden(
                field,
                "field is immutable when `immutable` is set",
            ));
        }
    }
}

fn stateful_set(after: &Value, before: &Value, causes: &mut Vec<Cause>) {
    const MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    if without(after, &MUTABLE) != without(before, &MUTABLE) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}

/// Binding names the volume once, and a default class may still be filled in.
fn claim(after: &Value, before: &Value, causes: &mut Vec<Cause>) {
    let mut mutable = vec!["resources", "volumeAttributesClassName"];
    if before["volumeName"].is_null() {
        mutable.push("volumeName");
    }
    if before["storageClassName"].is_null() {
        mutable.push("storageClassName");
    }
    if without(after, &mutable) != without(before, &mutable) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", why));
    }
}

fn pod(after: &Value, before: &Value, causes: &mut Vec<Cause>) {
    const MUTABLE: [&str; 3] = [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
    ];
    let fixed_part = |spec: &Value| {
        let mut spec = without(spec, &MUTABLE);
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = json!("");
            }
        }
        spec
    };
    if fixed_part(after) != fixed_part(before) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        causes.push(Cause::forbidden("spec", why));
    }
}

fn without(spec: &Value, fields: &[&str]) -> Value {
    let kept = spec
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !fields.contains(&key.as_str()));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}
