//! What the admission plugins that every cluster has add to new objects.
//!
//! Source: `Priority`, `DefaultTolerationSeconds`, `DefaultStorageClass` and
//! `StorageObjectInUseProtection` under `plugin/pkg/admission` of Kubernetes 1.34.

use serde_json::{Value, json};

use crate::{
    meta,
    path::ResourcePath,
    registry::named,
    status::{ApiError, ApiResult},
    store::{Object, Store},
};

/// How long a pod stays on a node that is lost.
const TOLERATION_SECONDS: i64 = 300;

/// The annotation of the class of claims that name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// What keeps a claim while it is used.
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Adds to a new object what the plugins add.
///
/// # Errors
/// 403 when a pod names a priority class that is not there.
pub(crate) fn admit(store: &Store, path: &ResourcePath, object: &mut Value) -> ApiResult<()> {
    match path.kind.kind {
        "Pod" => {
            give_priority(store, path, object)?;
            tolerate_lost_nodes(&mut object["spec"]);
        }
        "PersistentVolumeClaim" => {
            give_class(store, &mut object["spec"]);
            protect(object);
        }
        _ => {}
    }
    Ok(())
}

fn give_priority(store: &Store, path: &ResourcePath, pod: &mut Value) -> ApiResult<()> {
    let classes = named("PriorityClass");
    let asked = meta::text(pod, "/spec/priorityClassName").to_owned();
    let class: Option<Object> = if asked.is_empty() {
        let (all, _) = store.list(classes, "");
        all.into_iter().find(|class| class["globalDefault"] == true)
    } else {
        let found = store.get(classes, "", &asked);
        let why = format!("no PriorityClass with name {asked} was found");
        Some(found.map_err(|_| ApiError::forbidden(path.kind, meta::name(pod), &why))?)
    };
    let spec = meta::child(pod, "spec");
    let nothing = Value::Null;
    let class = class.as_deref().unwrap_or(&nothing);
    if class.is_object() {
        spec.insert("priorityClassName".into(), class["metadata"]["name"].clone());
    }
    spec.insert("priority".into(), class["value"].as_i64().unwrap_or(0).into());
    let preemption = class["preemptionPolicy"]
        .as_str()
        .unwrap_or("PreemptLowerPriority");
    meta::default_to(spec, "preemptionPolicy", preemption);
    Ok(())
}

fn tolerate_lost_nodes(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let mut own = spec["tolerations"].as_array().into_iter().flatten();
        let covers = |one: &Value| {
            let effect = one["effect"].as_str().unwrap_or_default();
            let every_key = one["key"].as_str().unwrap_or_default().is_empty();
            (every_key || one["key"] == key) && matches!(effect, "" | "NoExecute")
        };
        if own.any(covers) {
            continue;
        }
        let toleration = json!({
            "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS,
        });
        match &mut spec["tolerations"] {
            Value::Array(tolerations) => tolerations.push(toleration),
            none => *none = json!([toleration]),
        }
    }
}

fn give_class(store: &Store, spec: &mut Value) {
    if !spec["storageClassName"].is_null() {
        return;
    }
    let (classes, _) = store.list(named("StorageClass"), "");
    let is_default = |class: &&Object| class["metadata"]["annotations"][DEFAULT_CLASS] == "true";
    if let Some(class) = classes.iter().find(is_default) {
        spec["storageClassName"] = meta::name(class).into();
    }
}

fn protect(claim: &mut Value) {
    let mut finalizers = meta::names_at(claim, "/metadata/finalizers");
    if !finalizers.iter().any(|one| one == CLAIM_PROTECTION) {
        finalizers.push(CLAIM_PROTECTION.to_owned());
        meta::metadata(claim).insert("finalizers".into(), finalizers.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{query::Query, resource::Resources};

    fn created(path: &str, object: Value) -> ApiResult<Value> {
        let resources = Resources::new();
        let create = |path: &str, object: Value| {
            let written = resources.create(&ResourcePath::parse(path)?, &Query::default(), object)?;
            Ok::<_, ApiError>(written.object)
        };
        create("/api/v1/namespaces", json!({"metadata": {"name": "n"}}))?;
        create(
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            json!({"metadata": {"name": "high"}, "value": 7}),
        )?;
        create(path, object)
    }

    fn pod(spec: &Value) -> Value {
        let mut pod =
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        for (key, value) in spec.as_object().into_iter().flatten() {
            pod["spec"][key] = value.clone();
        }
        pod
    }

    const PODS: &str = "/api/v1/namespaces/n/pods";

    #[test]
    fn a_priority_is_that_of_the_class() {
        let named = created(PODS, pod(&json!({"priorityClassName": "high"}))).unwrap();
        assert_eq!(named["spec"]["priority"], 7);
        let plain = created(PODS, pod(&json!({}))).unwrap();
        assert_eq!(plain["spec"]["priority"], 0);
        let unknown = created(PODS, pod(&json!({"priorityClassName": "none"}))).unwrap_err();
        assert_eq!(unknown.code(), http::StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_toleration_of_everything_is_enough() {
        let own = json!([{"operator": "Exists"}]);
        let tolerant = created(PODS, pod(&json!({"tolerations": own}))).unwrap();
        assert_eq!(tolerant["spec"]["tolerations"], own);
        let plain = created(PODS, pod(&json!({}))).unwrap();
        assert_eq!(plain["spec"]["tolerations"].as_array().map(Vec::len), Some(2));
    }
}
