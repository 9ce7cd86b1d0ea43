//! The annotations by which a deployment and its ReplicaSets know each other.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use kube::{ResourceExt as _, api::ObjectMeta};

use super::scaling;

const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// What a ReplicaSet does not take over from its deployment.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
];

fn revision(meta: &ObjectMeta) -> i64 {
    let text = meta
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(REVISION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(super) fn revision_of_set(set: &ReplicaSet) -> i64 {
    revision(&set.metadata)
}

/// The number of replicas that the deployment had when it last scaled the ReplicaSet.
pub(super) fn desired_replicas(set: &ReplicaSet) -> Option<i32> {
    set.annotations().get(DESIRED_REPLICAS)?.parse().ok()
}

/// The most pods that the deployment allowed when it last scaled the ReplicaSet.
pub(super) fn max_replicas(set: &ReplicaSet) -> Option<i32> {
    set.annotations().get(MAX_REPLICAS)?.parse().ok()
}

/// Tells the ReplicaSet the deployment's numbers; whether that changed it.
pub(super) fn mark_replicas(set: &mut ReplicaSet, spec: &DeploymentSpec) -> bool {
    let desired = spec.replicas.unwrap_or(1);
    let max = desired + scaling::max_surge(spec);
    let annotations = set.annotations_mut();
    put(annotations, DESIRED_REPLICAS, &desired.to_string())
        | put(annotations, MAX_REPLICAS, &max.to_string())
}

/// Makes the ReplicaSet the deployment's `revision`; whether that changed it.
pub(super) fn mark_revision(set: &mut ReplicaSet, deployment: &Deployment, new: i64) -> bool {
    let before = revision(&set.metadata);
    let annotations = set.annotations_mut();
    let mut changed = false;
    for (key, value) in deployment.annotations() {
        if !NOT_COPIED.contains(&key.as_str()) {
            changed |= put(annotations, key, value);
        }
    }
    if before < new {
        changed |= put(annotations, REVISION, &new.to_string());
        if before > 0 {
            // the set was rolled back to: its earlier revisions are remembered
            let history = annotations
                .get(REVISION_HISTORY)
                .filter(|history| !history.is_empty());
            let history = history.map_or_else(|| before.to_string(), |history| format!("{history},{before}"));
            put(annotations, REVISION_HISTORY, &history);
        }
    }
    changed
}

/// Gives the deployment the revision of its new ReplicaSet; whether that changed it.
pub(super) fn copy_revision(deployment: &mut Deployment, set: &ReplicaSet) -> bool {
    let revision = revision(&set.metadata).to_string();
    put(deployment.annotations_mut(), REVISION, &revision)
}

fn put(annotations: &mut BTreeMap<String, String>, key: &str, value: &str) -> bool {
    annotations
        .insert(key.to_owned(), value.to_owned())
        .is_none_or(|before| before != value)
}
