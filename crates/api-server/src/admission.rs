//! What the server itself does to an object before it is stored: identity, initial status, the
//! fields that only the server sets, and which generation of the spec this is.

use serde_json::{Value, json};

use crate::{
    defaults, meta,
    path::ResourcePath,
    registry::Kind,
    status::{ApiError, ApiResult, Cause},
    validation,
};

/// Makes a new object complete.
///
/// # Errors
/// 400 when it contradicts the path, 422 when it is not valid.
pub(crate) fn admit_new(path: &ResourcePath, object: &mut Value) -> ApiResult<()> {
    let kind = path.kind;
    if !meta::resource_version(object).is_empty() {
        return Err(ApiError::internal(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    give_identity(path, object)?;
    give_initial_status(kind, object);
    defaults::apply(kind, object);
    if kind.is("Job") {
        give_selector(object);
    }
    refuse_invalid(kind, object, None)
}

/// Lets a job select its own pods by its `uid`, unless it brings a selector.
fn give_selector(job: &mut Value) {
    if job["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (job["metadata"]["name"].clone(), job["metadata"]["uid"].clone());
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let metadata = meta::child(&mut job["spec"]["template"], "metadata");
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels[key] = value.clone();
    }
}

fn give_identity(path: &ResourcePath, object: &mut Value) -> ApiResult<()> {
    let kind = path.kind;
    let sent_namespace = meta::namespace(object);
    if kind.namespaced && !sent_namespace.is_empty() && sent_namespace != path.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let name = match (meta::name(object), meta::text(object, "/metadata/generateName")) {
        ("", "") => {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(ApiError::invalid(kind, "", &[cause]));
        }
        ("", prefix) => format!("{}{}", prefix.get(..58).unwrap_or(prefix), random_suffix()),
        (name, _) => name.to_owned(),
    };
    check_path_name(path, &name)?;
    let metadata = meta::metadata(object);
    metadata.insert("name".into(), name.into());
    if kind.namespaced {
        metadata.insert("namespace".into(), path.namespace.clone().into());
    } else {
        metadata.remove("namespace");
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), meta::now().into());
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "generation",
    ] {
        metadata.remove(field);
    }
    if has_generation(kind) {
        metadata.insert("generation".into(), 1.into());
    }
    Ok(())
}

/// Refuses an object whose name is not the one in the path.
pub(crate) fn check_path_name(path: &ResourcePath, name: &str) -> ApiResult<()> {
    match path.name.as_deref() {
        Some(sent) if sent != name => Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({sent})"
        ))),
        _ => Ok(()),
    }
}

fn give_initial_status(kind: &Kind, object: &mut Value) {
    // a kubelet registers its node together with its status
    if !kind.has_status || kind.is("Node") {
        return;
    }
    object["status"] = match kind.kind {
        "Pod" => json!({"phase": "Pending", "qosClass": quality_of_service(&object["spec"])}),
        "PersistentVolumeClaim" | "PersistentVolume" => json!({"phase": "Pending"}),
        "Namespace" => json!({"phase": "Active"}),
        "Service" | "Ingress" => json!({"loadBalancer": {}}),
        _ => json!({}),
    };
    if kind.is("Namespace") {
        object["spec"]["finalizers"] = json!(["kubernetes"]);
    }
}

/// How firmly a pod's resources are promised to it.
fn quality_of_service(spec: &Value) -> &'static str {
    let lists = ["initContainers", "containers"];
    let containers = || {
        lists
            .iter()
            .flat_map(|list| spec[*list].as_array().into_iter().flatten())
    };
    let amounts = |container: &Value, list: &str| {
        let resources = &container["resources"][list];
        [resources["cpu"].clone(), resources["memory"].clone()]
    };
    let is_guaranteed = |container: &Value| {
        let limits = amounts(container, "limits");
        limits.iter().all(Value::is_string) && limits == amounts(container, "requests")
    };
    let asks_for_nothing = |container: &Value| {
        ["limits", "requests"]
            .iter()
            .all(|list| amounts(container, list).iter().all(Value::is_null))
    };
    if containers().all(asks_for_nothing) {
        "BestEffort"
    } else if containers().all(is_guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// What an update makes of `live`: what may change does, what the server keeps stays.
///
/// # Errors
/// 409 when `live` is no longer what the client saw, 422 when the result is not valid.
pub(crate) fn admit_update(path: &ResourcePath, live: &Value, proposed: Value) -> ApiResult<Value> {
    let kind = path.kind;
    check_preconditions(kind, live, &proposed)?;
    let mut after = match path.subresource.as_deref() {
        None | Some("scale" | "finalize") => keep_status(kind, live, proposed),
        Some("status") if kind.has_status => only_status(live, &proposed),
        Some(_) => return Err(ApiError::no_such_path()),
    };
    keep_identity(live, &mut after);
    if kind.is("Namespace") && path.subresource.as_deref() != Some("finalize") {
        after["spec"] = live["spec"].clone();
    }
    defaults::apply(kind, &mut after);
    refuse_invalid(kind, &after, Some(live))?;
    if has_generation(kind) && after["spec"] != live["spec"] {
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        meta::metadata(&mut after).insert("generation".into(), generation.into());
    }
    Ok(after)
}

fn refuse_invalid(kind: &Kind, object: &Value, live: Option<&Value>) -> ApiResult<()> {
    let causes = validation::check(kind, object, live);
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(kind, meta::name(object), &causes))
    }
}

fn check_preconditions(kind: &Kind, live: &Value, proposed: &Value) -> ApiResult<()> {
    let name = meta::name(live);
    let sent_version = meta::resource_version(proposed);
    if !sent_version.is_empty() && sent_version != meta::resource_version(live) {
        return Err(ApiError::modified(kind, name));
    }
    let (sent, found) = (
        meta::text(proposed, "/metadata/uid"),
        meta::text(live, "/metadata/uid"),
    );
    if !sent.is_empty() && sent != found {
        let why = format!("Precondition failed: UID in precondition: {sent}, UID in object meta: {found}");
        return Err(ApiError::conflict(kind, name, &why));
    }
    Ok(())
}

fn keep_status(kind: &Kind, live: &Value, mut proposed: Value) -> Value {
    if kind.has_status
        && let Some(object) = proposed.as_object_mut()
    {
        match live.get("status") {
            Some(status) => object.insert("status".into(), status.clone()),
            None => object.shift_remove("status"),
        };
    }
    proposed
}

fn only_status(live: &Value, proposed: &Value) -> Value {
    let mut after = live.clone();
    after["status"] = proposed["status"].clone();
    if let Some(managed) = proposed["metadata"].get("managedFields") {
        meta::metadata(&mut after).insert("managedFields".into(), managed.clone());
    }
    after
}

/// What only the server sets stays as it was.
fn keep_identity(live: &Value, after: &mut Value) {
    let metadata = meta::metadata(after);
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "generateName",
    ] {
        match live["metadata"].get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.shift_remove(field),
        };
    }
}

/// Whether the kind counts the generations of its spec.
fn has_generation(kind: &Kind) -> bool {
    matches!(
        kind.kind,
        "Pod"
            | "Deployment"
            | "ReplicaSet"
            | "StatefulSet"
            | "DaemonSet"
            | "Job"
            | "CronJob"
            | "Ingress"
            | "IngressClass"
            | "NetworkPolicy"
            | "PodDisruptionBudget"
            | "EndpointSlice"
            | "PriorityClass"
    )
}

/// Five characters as Kubernetes appends to `generateName`: no vowels, so that no words arise.
pub(crate) fn random_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let bytes = uuid::Uuid::new_v4();
    let letters = bytes.as_bytes().iter().take(5);
    letters
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}
