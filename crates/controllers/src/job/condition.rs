//! How a job ends: the conditions by which it is decided, and those by which it is over.

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobStatus},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::tracking::Tally;
use crate::{clock::Clock, pod};

/// How a job is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The condition that says so at once.
    pub(super) target: &'static str,
    /// The condition when no pod is left.
    pub(super) end: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: &'static str,
}

impl Verdict {
    /// The reason and the message.
    pub(super) fn why(&self) -> (&'static str, &'static str) {
        (self.reason, self.message)
    }
}

const COMPLETE: (&str, &str) = ("SuccessCriteriaMet", "Complete");
const FAILED: (&str, &str) = ("FailureTarget", "Failed");

/// All reasons for which a job is decided, with their text.
const REASONS: [(&str, (&str, &str), &str); 3] = [
    (
        "CompletionsReached",
        COMPLETE,
        "Reached expected number of succeeded pods",
    ),
    (
        "BackoffLimitExceeded",
        FAILED,
        "Job has reached the specified backoff limit",
    ),
    (
        "DeadlineExceeded",
        FAILED,
        "Job was active longer than specified deadline",
    ),
];

fn verdict_of(reason: &str) -> Option<Verdict> {
    let (reason, (target, end), message) = REASONS.into_iter().find(|known| known.0 == reason)?;
    Some(Verdict {
        target,
        end,
        reason,
        message,
    })
}

/// Whether the job is decided by what its pods did.
pub(super) fn verdict(job: &Job, pods: &[Pod], tally: &Tally, clock: &Clock) -> Option<Verdict> {
    let spec = job.spec.clone().unwrap_or_default();
    if spec.suspend == Some(true) {
        return None;
    }
    let limit = spec.backoff_limit.unwrap_or(6);
    let start = job.status.as_ref().and_then(|status| status.start_time.as_ref());
    let late = spec
        .active_deadline_seconds
        .zip(start)
        .is_some_and(|(deadline, start)| clock.until(start, deadline).is_zero());
    let active = pods.iter().any(pod::is_active);
    let done = match spec.completions {
        Some(completions) => tally.succeeded() >= completions,
        None => tally.succeeded() > 0 && !active,
    };
    if tally.failed() > limit || restarted_too_often(job, pods, limit) {
        verdict_of("BackoffLimitExceeded")
    } else if late {
        verdict_of("DeadlineExceeded")
    } else if done {
        verdict_of("CompletionsReached")
    } else {
        None
    }
}

/// Where containers are restarted within their pods, the restarts count as failures.
fn restarted_too_often(job: &Job, pods: &[Pod], limit: i32) -> bool {
    let template = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let statuses = pods.iter().filter(|pod| pod::is_active(pod)).flat_map(|pod| {
        let status = pod.status.clone().unwrap_or_default();
        let init = status.init_container_statuses.unwrap_or_default();
        init.into_iter()
            .chain(status.container_statuses.unwrap_or_default())
    });
    let restarts: i32 = statuses.map(|status| status.restart_count).sum();
    restarts > 0 && restarts >= limit
}

pub(super) fn holds(status: &JobStatus, kind: &str) -> bool {
    status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

/// The verdict that the status has already.
pub(super) fn decided(status: &JobStatus) -> Option<Verdict> {
    let mut conditions = status.conditions.iter().flatten();
    let target = conditions.find(|condition| {
        matches!(condition.type_.as_str(), "SuccessCriteriaMet" | "FailureTarget")
            && condition.status == "True"
    })?;
    verdict_of(target.reason.as_deref()?)
}

pub(super) fn is_decided(status: &JobStatus) -> bool {
    decided(status).is_some()
}

fn end(job: &Job) -> Option<&JobCondition> {
    let mut conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })
}

pub(super) fn is_finished(job: &Job) -> bool {
    end(job).is_some()
}

pub(super) fn finished_at(job: &Job) -> Option<Time> {
    end(job).and_then(|condition| condition.last_transition_time.clone())
}

/// Sets a condition to `value`, for a reason with a message.
pub(super) fn set(
    status: &mut JobStatus,
    kind: &str,
    value: &str,
    (reason, message): (&str, &str),
    clock: &Clock,
) {
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(clock.now()),
        last_transition_time: Some(clock.now()),
    });
}
