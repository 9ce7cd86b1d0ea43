//! Deletion: at once, after a grace period, or when the last finalizer is gone.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    meta,
    path::ResourcePath,
    registry::Kind,
    resource::{Query, Resources, is_dry_run, parse_body, selection},
    status::{self, ApiError, ApiResult},
    store::Outcome,
};

impl Resources {
    /// Deletes one object; gives it back while it still ends, a `Status` when it is gone.
    pub(crate) fn delete(&self, path: &ResourcePath, query: &Query, body: &Bytes) -> ApiResult<Value> {
        let options = Options::read(query, body)?;
        let name = path.name.as_deref().unwrap_or_default();
        self.delete_named(path.kind, &path.namespace, name, &options)
    }

    /// Deletes what the query selects and gives the list of it.
    pub(crate) fn delete_collection(
        &self,
        path: &ResourcePath,
        query: &Query,
        body: &Bytes,
    ) -> ApiResult<Value> {
        let options = Options::read(query, body)?;
        let selection = selection(path, query)?;
        let (objects, _) = self.store.list(path.kind, &path.namespace);
        for object in objects.iter().filter(|object| selection.matches(object)) {
            match self.delete_named(path.kind, meta::namespace(object), meta::name(object), &options) {
                Err(error) if error.code() != http::StatusCode::NOT_FOUND => return Err(error),
                _ => {}
            }
        }
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
    }

    fn delete_named(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> ApiResult<Value> {
        let mut gone = false;
        let object = self.store.change(kind, namespace, name, |live| {
            options.check_preconditions(kind, live)?;
            let outcome = mark(kind, live, options);
            gone = matches!(outcome, Outcome::Remove(_));
            Ok(if options.dry_run {
                Outcome::Keep(live.clone())
            } else {
                outcome
            })
        })?;
        Ok(if gone {
            status::deleted(kind, &object)
        } else {
            (*object).clone()
        })
    }
}

/// The `DeleteOptions` of a request.
struct Options {
    grace_period: Option<i64>,
    propagation: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    dry_run: bool,
}

impl Options {
    fn read(query: &Query, body: &Bytes) -> ApiResult<Self> {
        let body = if body.is_empty() {
            Value::Null
        } else {
            parse_body(body)?
        };
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let from_query = |key: &str| query.get(key).cloned();
        Ok(Self {
            grace_period: body["gracePeriodSeconds"]
                .as_i64()
                .or_else(|| query.get("gracePeriodSeconds").and_then(|text| text.parse().ok())),
            propagation: text("/propagationPolicy").or_else(|| from_query("propagationPolicy")),
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            dry_run: is_dry_run(query) || body["dryRun"][0] == "All",
        })
    }

    fn check_preconditions(&self, kind: &Kind, live: &Value) -> ApiResult<()> {
        let checks = [
            ("UID", "uid", &self.uid),
            ("ResourceVersion", "resourceVersion", &self.resource_version),
        ];
        for (title, field, expected) in checks {
            let found = &live["metadata"][field];
            if let Some(expected) = expected
                && found != expected.as_str()
            {
                let why = format!(
                    "Precondition failed: {title} in precondition: {expected}, {title} in object meta: {}",
                    found.as_str().unwrap_or_default()
                );
                return Err(ApiError::conflict(kind, meta::name(live), &why));
            }
        }
        Ok(())
    }
}

/// What deleting `live` makes of it.
fn mark(kind: &Kind, live: &Value, options: &Options) -> Outcome {
    let mut after = live.clone();
    let grace = if kind.is("Pod") {
        pod_grace(live, options.grace_period)
    } else {
        0
    };
    let finalizer = match options.propagation.as_deref() {
        Some("Foreground") => Some("foregroundDeletion"),
        Some("Orphan") => Some("orphan"),
        _ => None,
    };
    let first_time = !meta::is_deleting(live);
    if let (Some(finalizer), true) = (finalizer, first_time) {
        let mut finalizers = meta::names_at(live, "/metadata/finalizers");
        if !finalizers.iter().any(|one| one == finalizer) {
            finalizers.push(finalizer.to_owned());
        }
        meta::metadata(&mut after).insert("finalizers".into(), finalizers.into());
    }
    let waits = grace > 0 || holds_on(kind, &after);
    if !waits {
        return Outcome::Remove(after);
    }
    let shortened = live["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .is_some_and(|now| grace < now);
    if first_time || shortened {
        let metadata = meta::metadata(&mut after);
        metadata.insert("deletionTimestamp".into(), meta::in_seconds(grace).into());
        metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
        if kind.is("Namespace") {
            meta::child(&mut after, "status").insert("phase".into(), "Terminating".into());
        }
    }
    Outcome::Keep(after)
}

/// What an update makes of an object: gone when it was being deleted and nothing holds it any more.
pub(crate) fn finished_or_kept(kind: &Kind, after: Value) -> Outcome {
    let grace_over = !kind.is("Pod") || after["metadata"]["deletionGracePeriodSeconds"].as_i64() == Some(0);
    if meta::is_deleting(&after) && grace_over && !holds_on(kind, &after) {
        return Outcome::Remove(after);
    }
    Outcome::Keep(after)
}

/// Whether finalizers keep the object.
fn holds_on(kind: &Kind, object: &Value) -> bool {
    let finalizers = |pointer: &str| !meta::names_at(object, pointer).is_empty();
    finalizers("/metadata/finalizers") || (kind.is("Namespace") && finalizers("/spec/finalizers"))
}

/// Seconds that a pod gets to end: none when no kubelet has to end it.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let ended = matches!(meta::text(pod, "/status/phase"), "Succeeded" | "Failed");
    if meta::text(pod, "/spec/nodeName").is_empty() || ended {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(30);
    asked.unwrap_or(own).max(0)
}

impl Resources {
    /// Evicts a pod, as `kubectl drain` does: deletes it with its own grace period.
    pub(crate) fn evict(&self, path: &ResourcePath, query: &Query, body: &Bytes) -> ApiResult<Value> {
        let sent = parse_body(body)?;
        let options = serde_json::to_vec(&sent["deleteOptions"]).unwrap_or_default();
        let body = if sent["deleteOptions"].is_null() {
            Bytes::new()
        } else {
            options.into()
        };
        self.delete(path, query, &body)
            .map_err(|error| match error.code() {
                http::StatusCode::NOT_FOUND => {
                    ApiError::not_found(path.kind, path.name.as_deref().unwrap_or_default())
                }
                _ => error,
            })?;
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }

    /// Binds a pod to a node, as the scheduler does.
    pub(crate) fn bind(&self, path: &ResourcePath, body: &Bytes) -> ApiResult<Value> {
        let node = parse_body(body)?["target"]["name"].clone();
        let name = path.name.as_deref().unwrap_or_default();
        self.store.change(path.kind, &path.namespace, name, |live| {
            let bound = meta::text(live, "/spec/nodeName");
            if !bound.is_empty() {
                let why = format!("pod {name} is already assigned to node {bound:?}");
                return Err(ApiError::conflict(path.kind, name, &why));
            }
            let mut after = live.clone();
            after["spec"]["nodeName"] = node;
            let condition = json!({
                "type": "PodScheduled", "status": "True", "lastProbeTime": null,
                "lastTransitionTime": meta::now(), "observedGeneration": live["metadata"]["generation"],
            });
            let status = meta::child(&mut after, "status");
            let others = status
                .get("conditions")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let mut conditions: Vec<Value> = others
                .into_iter()
                .filter(|one| one["type"] != "PodScheduled")
                .collect();
            conditions.push(condition);
            status.insert("conditions".into(), conditions.into());
            Ok(Outcome::Keep(after))
        })?;
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }
}
