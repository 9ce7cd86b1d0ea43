//! Defaults of what makes pods: deployments, sets, jobs and autoscalers.

use serde_json::{Value, json};

use super::{default, pod::pod_spec, storage, within};
use crate::meta;

pub(super) fn deployment(spec: &mut Value) {
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "progressDeadlineSeconds", 600);
    rolling(
        spec,
        "strategy",
        &[("maxUnavailable", "25%".into()), ("maxSurge", "25%".into())],
    );
    pod_spec(&mut spec["template"]["spec"]);
}

pub(super) fn replica_set(spec: &mut Value) {
    default(spec, "replicas", 1);
    pod_spec(&mut spec["template"]["spec"]);
}

pub(super) fn stateful_set(spec: &mut Value) {
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "podManagementPolicy", "OrderedReady");
    rolling(spec, "updateStrategy", &[("partition", 0.into())]);
    default(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    within(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
        default(policy, "whenDeleted", "Retain");
        default(policy, "whenScaled", "Retain");
    });
    pod_spec(&mut spec["template"]["spec"]);
    super::each(spec, "volumeClaimTemplates", |claim| {
        default(claim, "kind", "PersistentVolumeClaim");
        default(claim, "apiVersion", "v1");
        storage::claim(claim);
        default(claim, "status", json!({"phase": "Pending"}));
    });
}

pub(super) fn daemon_set(spec: &mut Value) {
    default(spec, "revisionHistoryLimit", 10);
    rolling(
        spec,
        "updateStrategy",
        &[("maxUnavailable", 1.into()), ("maxSurge", 0.into())],
    );
    pod_spec(&mut spec["template"]["spec"]);
}

/// A strategy is to roll unless it says otherwise; then it has no parameters for rolling.
fn rolling(spec: &mut Value, field: &str, parameters: &[(&str, Value)]) {
    default(spec, field, json!({}));
    let strategy = &mut spec[field];
    default(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(strategy, "rollingUpdate", json!({}));
        for (name, value) in parameters {
            default(&mut strategy["rollingUpdate"], name, value.clone());
        }
    }
}

pub(super) fn job(object: &mut Value) {
    if object["metadata"]["labels"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        if labels.is_object() {
            meta::metadata(object).insert("labels".into(), labels);
        }
    }
    job_spec(&mut object["spec"]);
}

fn job_spec(spec: &mut Value) {
    if spec["parallelism"].is_null() {
        default(spec, "completions", 1);
    }
    default(spec, "parallelism", 1);
    let per_index = !spec["backoffLimitPerIndex"].is_null();
    default(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    let on_failure = if spec["podFailurePolicy"].is_null() {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    default(spec, "podReplacementPolicy", on_failure);
    pod_spec(&mut spec["template"]["spec"]);
}

pub(super) fn cron_job(spec: &mut Value) {
    default(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", false);
    default(spec, "successfulJobsHistoryLimit", 3);
    default(spec, "failedJobsHistoryLimit", 1);
    pod_spec(&mut spec["jobTemplate"]["spec"]["template"]["spec"]);
}

pub(super) fn autoscaler(spec: &mut Value) {
    default(spec, "minReplicas", 1);
    default(
        spec,
        "metrics",
        json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
        }]),
    );
}
