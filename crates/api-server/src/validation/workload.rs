//! What makes pods: deployments, sets, jobs, and what scales and protects them.

use serde_json::{Value, json};

use super::{metadata, pod};
use crate::status::Cause;

pub(super) fn check(spec: &Value, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    let is_empty = |field: &str| selector[field].as_object().is_none_or(serde_json::Map::is_empty);
    if selector.is_null() || (is_empty("matchLabels") && selector["matchExpressions"].is_null()) {
        causes.push(Cause::required("spec.selector", ""));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let mut wanted = selector["matchLabels"].as_object().into_iter().flatten();
    if wanted.any(|(key, value)| labels.get(key) != Some(value)) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        causes.push(Cause::invalid(
            "spec.replicas",
            &spec["replicas"],
            "must be greater than or equal to 0",
        ));
    }
    metadata::labels(labels, "spec.template.metadata.labels", causes);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if policy != "Always" {
        causes.push(Cause::unsupported(
            "spec.template.spec.restartPolicy",
            policy,
            &["Always"],
        ));
    }
}

/// How a Deployment replaces its pods, beyond what all workloads have.
pub(super) fn deployment(spec: &Value, causes: &mut Vec<Cause>) {
    let strategy = &spec["strategy"];
    let rolling = &strategy["rollingUpdate"];
    let field = "spec.strategy.rollingUpdate";
    if strategy["type"] == "Recreate" && !rolling.is_null() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        causes.push(Cause::forbidden(field, why));
    }
    let is_zero = |value: &Value| value == 0 || value == "0%";
    if is_zero(&rolling["maxSurge"]) && is_zero(&rolling["maxUnavailable"]) {
        let field = format!("{field}.maxUnavailable");
        causes.push(Cause::invalid(
            field,
            &rolling["maxUnavailable"],
            "may not be 0 when `maxSurge` is 0",
        ));
    }
    let deadline = &spec["progressDeadlineSeconds"];
    if deadline
        .as_i64()
        .is_some_and(|seconds| seconds <= spec["minReadySeconds"].as_i64().unwrap_or(0))
    {
        let why = "must be greater than minReadySeconds";
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", deadline, why));
    }
}

/// The spec of a Job at `path`.
pub(super) fn job(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let pod = &spec["template"]["spec"];
    if pod["restartPolicy"] == "Always" {
        let field = format!("{path}.template.spec.restartPolicy");
        causes.push(Cause::required(field, r#"valid values: "OnFailure", "Never""#));
    }
    pod::spec(pod, &format!("{path}.template.spec"), causes);
}

pub(super) fn cron_job(spec: &Value, causes: &mut Vec<Cause>) {
    let schedule = spec["schedule"].as_str().unwrap_or_default();
    let fields = schedule.split_whitespace().count();
    if schedule.is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    } else if fields != 5 && !schedule.starts_with('@') {
        let why = format!("expected exactly 5 fields, found {fields}: [{schedule}]");
        causes.push(Cause::invalid("spec.schedule", &spec["schedule"], &why));
    }
    job(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", causes);
}

pub(super) fn disruption_budget(spec: &Value, causes: &mut Vec<Cause>) {
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid("spec", &json!({}), why));
    }
}

pub(super) fn autoscaler(spec: &Value, causes: &mut Vec<Cause>) {
    let (min, max) = (
        spec["minReplicas"].as_i64().unwrap_or(1),
        spec["maxReplicas"].as_i64().unwrap_or(0),
    );
    if min < 1 {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", &spec["minReplicas"], why));
    }
    if max < 1 {
        causes.push(Cause::invalid(
            "spec.maxReplicas",
            &spec["maxReplicas"],
            "must be greater than 0",
        ));
    } else if max < min {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &spec["maxReplicas"], why));
    }
}
