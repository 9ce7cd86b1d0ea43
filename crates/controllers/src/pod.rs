//! What controllers see in pods, and how they make them.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::core::v1::{Pod, PodCondition, PodTemplateSpec, Volume},
    apimachinery::pkg::apis::meta::v1::{OwnerReference, Time},
};
use kube::{ResourceExt as _, api::ObjectMeta};

use crate::{clock::Clock, owner::is_deleting};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The label that tells which revision of a StatefulSet a pod is of.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

pub(crate) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod runs or will, and is to stay.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !has_ended(pod) && !is_deleting(pod)
}

pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == kind)
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

fn ready_since(pod: &Pod) -> Option<&Time> {
    condition(pod, "Ready")
        .filter(|ready| ready.status == "True")
        .and_then(|ready| ready.last_transition_time.as_ref())
}

/// How long it is until the pod has been ready for `seconds`; `None` when it is not ready.
pub(crate) fn until_available(pod: &Pod, seconds: i32, clock: &Clock) -> Option<Duration> {
    if seconds == 0 {
        return is_ready(pod).then_some(Duration::ZERO);
    }
    ready_since(pod).map(|since| clock.until(since, seconds.into()))
}

/// Whether the pod has been ready for `seconds`.
pub(crate) fn is_available(pod: &Pod, seconds: i32, clock: &Clock) -> bool {
    until_available(pod, seconds, clock) == Some(Duration::ZERO)
}

/// When the next of the pods that are ready becomes available.
pub(crate) fn next_available<'a>(
    pods: impl IntoIterator<Item = &'a Pod>,
    seconds: i32,
    clock: &Clock,
) -> Option<Duration> {
    let pauses = pods
        .into_iter()
        .filter_map(|pod| until_available(pod, seconds, clock));
    pauses.filter(|pause| !pause.is_zero()).min()
}

/// A pod made from `template`, without a name.
pub(crate) fn from_template(template: &PodTemplateSpec, namespace: &str, owner: OwnerReference) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Sets a label of a pod or template.
pub(crate) fn label(meta: &mut ObjectMeta, key: &str, value: &str) {
    meta.labels
        .get_or_insert_with(BTreeMap::new)
        .insert(key.to_owned(), value.to_owned());
}

/// The order in which pods are deleted when there are too many: those that are the least loss first.
///
/// Source: `ActivePods` of `k8s.io/kubernetes/pkg/controller`; the spread over nodes has no part where
/// there is but one.
pub(crate) fn deletion_rank(pod: &Pod) -> impl Ord + use<> {
    let assigned = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let phase = match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost = pod
        .annotations()
        .get(DELETION_COST)
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0_i32);
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let restarts = statuses.map(|status| status.restart_count).max().unwrap_or(0);
    (
        assigned,
        phase,
        is_ready(pod),
        cost,
        Reverse(ready_since(pod).cloned()),
        Reverse(restarts),
        Reverse(pod.creation_timestamp()),
    )
}

/// The claim behind a volume; that of an ephemeral volume has the names of pod and volume.
pub(crate) fn claim_name(pod: &Pod, volume: &Volume) -> Option<String> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some(source.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", pod.name_any(), volume.name)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn pod(change: &Value) -> Pod {
        let mut pod = json!({
            "metadata": {"annotations": {}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n", "containers": []},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "containerStatuses": [{"restartCount": 0}],
            },
        });
        json_patch(&mut pod, change);
        serde_json::from_value(pod).unwrap()
    }

    fn json_patch(value: &mut Value, change: &Value) {
        for (pointer, new) in change.as_object().unwrap() {
            *value.pointer_mut(pointer).unwrap() = new.clone();
        }
    }

    #[rstest]
    #[case(json!({"/spec/nodeName": null}))]
    #[case(json!({"/status/phase": "Pending"}))]
    #[case(json!({"/status/conditions/0/status": "False"}))]
    #[case(json!({"/metadata/annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}))]
    #[case(json!({"/status/conditions/0/lastTransitionTime": "2026-01-02T00:00:00Z"}))]
    #[case(json!({"/status/containerStatuses/0/restartCount": 3}))]
    #[case(json!({"/metadata/creationTimestamp": "2026-01-02T00:00:00Z"}))]
    fn the_lesser_pod_is_deleted_first(#[case] lesser: Value) {
        assert!(deletion_rank(&pod(&lesser)) < deletion_rank(&pod(&json!({}))));
    }
}
