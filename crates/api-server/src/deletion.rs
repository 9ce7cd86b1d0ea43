//! Deletion: at once, after a grace period, or when the last finalizer is gone.

use serde_json::{Value, json};

use crate::{
    meta,
    path::ResourcePath,
    query::Query,
    registry::Kind,
    resource::Resources,
    status::{self, ApiError, ApiResult, Cause},
    store::Outcome,
};

impl Resources {
    /// Deletes one object; gives it back while it still ends, a `Status` when it is gone. `sent` are the
    /// `DeleteOptions`, or null.
    pub(crate) fn delete(&self, path: &ResourcePath, query: &Query, sent: &Value) -> ApiResult<Value> {
        self.delete_named(
            path.kind,
            &path.namespace,
            path.object_name(),
            &Options::read(query, sent),
        )
    }

    /// Deletes what the query selects and gives the list of it.
    pub(crate) fn delete_collection(
        &self,
        path: &ResourcePath,
        query: &Query,
        sent: &Value,
    ) -> ApiResult<Value> {
        let options = Options::read(query, sent);
        let selection = query.selection(path)?;
        let (mut objects, version) = self.store.list(path.kind, &path.namespace);
        objects.retain(|object| selection.matches(object));
        for object in &objects {
            match self.delete_named(path.kind, meta::namespace(object), meta::name(object), &options) {
                Err(error) if error.code() != http::StatusCode::NOT_FOUND => return Err(error),
                _ => {}
            }
        }
        Ok(json!({
            "kind": path.kind.list_kind(),
            "apiVersion": path.kind.api_version(),
            "metadata": {"resourceVersion": version.to_string()},
            "items": objects.iter().map(|object| &**object).collect::<Vec<_>>(),
        }))
    }

    fn delete_named(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> ApiResult<Value> {
        options.check()?;
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

    /// Evicts a pod, as `kubectl drain` does: deletes it with its own grace period, or that of the
    /// eviction's `deleteOptions`.
    pub(crate) fn evict(&self, path: &ResourcePath, query: &Query, sent: &Value) -> ApiResult<Value> {
        self.delete(path, query, &sent["deleteOptions"])?;
        Ok(status::created())
    }

    /// Binds a pod to a node, as the scheduler does.
    pub(crate) fn bind(&self, path: &ResourcePath, sent: &Value) -> ApiResult<Value> {
        let name = path.object_name();
        self.store.change(path.kind, &path.namespace, name, |live| {
            let bound = meta::text(live, "/spec/nodeName");
            if !bound.is_empty() {
                let why = format!("pod {name} is already assigned to node {bound:?}");
                return Err(ApiError::conflict(path.kind, name, &why));
            }
            let mut after = live.clone();
            after["spec"]["nodeName"] = sent["target"]["name"].clone();
            let condition = json!({
                "type": "PodScheduled", "status": "True", "lastProbeTime": null,
                "lastTransitionTime": meta::now(),
            });
            let status = meta::child(&mut after, "status");
            let conditions = status.entry("conditions").or_insert_with(|| json!([]));
            if let Value::Array(conditions) = conditions {
                conditions.retain(|one| one["type"] != "PodScheduled");
                conditions.push(condition);
            }
            Ok(Outcome::Keep(after))
        })?;
        Ok(status::created())
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
    fn read(query: &Query, sent: &Value) -> Self {
        let text = |pointer: &str| sent.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let grace_of_query = || query.get("gracePeriodSeconds").and_then(|text| text.parse().ok());
        let orphans = sent["orphanDependents"] == true || query.get("orphanDependents") == Some("true");
        Self {
            grace_period: sent["gracePeriodSeconds"].as_i64().or_else(grace_of_query),
            propagation: text("/propagationPolicy")
                .or_else(|| query.get("propagationPolicy").map(str::to_owned))
                .or_else(|| orphans.then(|| "Orphan".to_owned())),
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            dry_run: query.is_dry_run() || sent["dryRun"][0] == "All",
        }
    }

    /// Refuses what no deletion may ask for.
    fn check(&self) -> ApiResult<()> {
        const POLICIES: [&str; 3] = ["Foreground", "Background", "Orphan"];
        match &self.propagation {
            Some(policy) if !POLICIES.contains(&policy.as_str()) => {
                let cause = Cause::unsupported("propagationPolicy", &policy.as_str().into(), &POLICIES);
                Err(ApiError::invalid_option("DeleteOptions", cause))
            }
            _ => Ok(()),
        }
    }

    fn check_preconditions(&self, kind: &Kind, live: &Value) -> ApiResult<()> {
        let checks = [
            ("UID", "uid", &self.uid, "deleted and then recreated"),
            (
                "ResourceVersion",
                "resourceVersion",
                &self.resource_version,
                "modified",
            ),
        ];
        for (title, field, expected, what) in checks {
            let found = meta::text(&live["metadata"], &format!("/{field}"));
            if let Some(expected) = expected
                && found != expected.as_str()
            {
                let why = format!(
                    "the {title} in the precondition ({expected}) does not match the {title} in record ({found}). \
                     The object might have been {what}"
                );
                return Err(ApiError::precondition_failed(kind, meta::name(live), &why));
            }
        }
        Ok(())
    }

    /// The finalizer by which dependents are dealt with first.
    fn finalizer(&self) -> Option<&'static str> {
        match self.propagation.as_deref() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        }
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
    let first_time = !meta::is_deleting(live);
    if let (Some(finalizer), true) = (options.finalizer(), first_time) {
        let mut finalizers = meta::names_at(live, "/metadata/finalizers");
        if !finalizers.iter().any(|one| one == finalizer) {
            finalizers.push(finalizer.to_owned());
        }
        meta::metadata(&mut after).insert("finalizers".into(), finalizers.into());
    }
    if grace == 0 && !is_held(kind, &after) {
        return Outcome::Remove(after);
    }
    let before = live["metadata"]["deletionGracePeriodSeconds"].as_i64();
    if first_time || before.is_some_and(|before| grace < before) {
        begin_deletion(kind, &mut after, grace, first_time);
    }
    Outcome::Keep(after)
}

fn begin_deletion(kind: &Kind, object: &mut Value, grace: i64, first_time: bool) {
    let metadata = meta::metadata(object);
    metadata.insert("deletionTimestamp".into(), meta::in_seconds(grace).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
    if let (Some(generation), true) = (metadata.get("generation").and_then(Value::as_i64), first_time) {
        metadata.insert("generation".into(), (generation + 1).into());
    }
    if kind.is("Namespace") {
        meta::child(object, "status").insert("phase".into(), "Terminating".into());
    }
}

/// What an update makes of an object: gone when it was being deleted and nothing holds it any more.
pub(crate) fn finished_or_kept(kind: &Kind, after: Value) -> Outcome {
    let grace_over = !kind.is("Pod") || after["metadata"]["deletionGracePeriodSeconds"].as_i64() == Some(0);
    if meta::is_deleting(&after) && grace_over && !is_held(kind, &after) {
        return Outcome::Remove(after);
    }
    Outcome::Keep(after)
}

/// Whether finalizers keep the object.
fn is_held(kind: &Kind, object: &Value) -> bool {
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
