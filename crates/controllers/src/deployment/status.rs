//! What a deployment says of itself: counts, and the conditions Available, Progressing and ReplicaFailure.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use kube::ResourceExt as _;

use super::{Rollout, scaling};
use crate::{
    clock::Clock,
    cluster::writing,
    error::{ReconcileError, gone_is_fine},
    owner::is_deleting,
    queue::Next,
};

/// A state of the condition Progressing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    status: &'static str,
    reason: &'static str,
}

impl Progress {
    pub(super) fn new(status: &'static str, reason: &'static str) -> Self {
        Self { status, reason }
    }
}

/// Sets the condition Progressing. The same status and reason leave it as it is.
pub(super) fn set_progress(
    status: &mut DeploymentStatus,
    progress: Progress,
    message: String,
    clock: &Clock,
) {
    set(status, "Progressing", progress, message, clock);
}

fn set(status: &mut DeploymentStatus, kind: &str, state: Progress, message: String, clock: &Clock) {
    let same = condition(status, kind).is_some_and(|condition| {
        condition.status == state.status && condition.reason.as_deref() == Some(state.reason)
    });
    if !same {
        replace(status, kind, state, message, clock);
    }
}

/// Sets a condition anew; the time of its last transition is that of its last change of status.
fn replace(status: &mut DeploymentStatus, kind: &str, state: Progress, message: String, clock: &Clock) {
    let now = Some(clock.now());
    let since = condition(status, kind).filter(|condition| condition.status == state.status);
    let since = since.and_then(|condition| condition.last_transition_time.clone());
    remove(status, kind);
    status
        .conditions
        .get_or_insert_default()
        .push(DeploymentCondition {
            type_: kind.to_owned(),
            status: state.status.to_owned(),
            reason: Some(state.reason.to_owned()),
            message: Some(message),
            last_update_time: now.clone(),
            last_transition_time: since.or(now),
        });
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    status
        .conditions
        .get_or_insert_default()
        .retain(|condition| condition.type_ != kind);
}

fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind)
}

/// Whether all replicas are of the present template and available, and nothing else is left.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let counts = [
        status.updated_replicas,
        status.replicas,
        status.available_replicas,
    ];
    counts.iter().all(|count| count.unwrap_or(0) == wanted)
        && status.observed_generation >= deployment.metadata.generation
}

impl Rollout<'_> {
    /// The counts, and whether enough pods are available.
    pub(super) fn status(&self, new: Option<&ReplicaSet>) -> DeploymentStatus {
        let before = self.deployment.status.clone().unwrap_or_default();
        let sum = |count: &dyn Fn(&ReplicaSet) -> i32| self.sets.iter().map(count).sum::<i32>();
        let of_status = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
        let available = sum(&|set| of_status(set).available_replicas.unwrap_or(0));
        let updated = new.and_then(|new| self.sets.iter().find(|set| set.uid() == new.uid()));
        let count = |number: i32| Some(number).filter(|number| *number != 0);
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: count(sum(&|set| of_status(set).replicas)),
            updated_replicas: count(updated.map_or(0, |set| of_status(set).replicas)),
            ready_replicas: count(sum(&|set| of_status(set).ready_replicas.unwrap_or(0))),
            available_replicas: count(available),
            unavailable_replicas: count((sum(&scaling::replicas) - available).max(0)),
            collision_count: before.collision_count,
            conditions: before.conditions,
            terminating_replicas: None,
        };
        let spec = self.spec();
        let (state, message) = if available >= spec.replicas.unwrap_or(1) - scaling::max_unavailable(&spec) {
            (
                Progress::new("True", "MinimumReplicasAvailable"),
                "Deployment has minimum availability.",
            )
        } else {
            let message = "Deployment does not have minimum availability.";
            (Progress::new("False", "MinimumReplicasUnavailable"), message)
        };
        set(
            &mut status,
            "Available",
            state,
            message.to_owned(),
            &self.cluster.clock,
        );
        status
    }

    /// Tells the status after a scaling or during a pause, in which no progress is expected.
    pub(super) async fn sync_scaled_status(self, new: Option<&ReplicaSet>) -> Result<Next, ReconcileError> {
        let status = self.status(new);
        self.write_status(status).await?;
        Ok(None)
    }

    /// Tells the status with how the rollout goes; gives the time after which it will have taken too long.
    pub(super) async fn sync_status(self, new: Option<&ReplicaSet>) -> Result<Next, ReconcileError> {
        if is_deleting(&self.deployment) {
            return self.sync_scaled_status(new).await;
        }
        let mut status = self.status(new);
        match self.spec().progress_deadline_seconds {
            Some(deadline) if deadline != i32::MAX => self.judge_progress(&mut status, new, deadline),
            _ => remove(&mut status, "Progressing"),
        }
        self.copy_failure(&mut status);
        let next = self.deadline(&status);
        self.write_status(status).await?;
        Ok(next)
    }

    fn judge_progress(&self, status: &mut DeploymentStatus, new: Option<&ReplicaSet>, deadline: i32) {
        let reason = condition(status, "Progressing").and_then(|condition| condition.reason.clone());
        if status.replicas == status.updated_replicas && reason.as_deref() == Some("NewReplicaSetAvailable") {
            return;
        }
        let subject = match new {
            Some(set) => format!("ReplicaSet {:?}", set.name_any()),
            None => format!("Deployment {:?}", self.deployment.name_any()),
        };
        let clock = &self.cluster.clock;
        let before = self.deployment.status.clone().unwrap_or_default();
        if is_complete(&self.deployment, status) {
            let message = format!("{subject} has successfully progressed.");
            set_progress(
                status,
                Progress::new("True", "NewReplicaSetAvailable"),
                message,
                clock,
            );
        } else if has_progressed(&before, status) {
            let message = format!("{subject} is progressing.");
            replace(
                status,
                "Progressing",
                Progress::new("True", "ReplicaSetUpdated"),
                message,
                clock,
            );
        } else if has_timed_out(status, deadline, clock) {
            let message = format!("{subject} has timed out progressing.");
            set_progress(
                status,
                Progress::new("False", "ProgressDeadlineExceeded"),
                message,
                clock,
            );
        }
    }

    /// What keeps a ReplicaSet from making its pods is what keeps the deployment.
    fn copy_failure(&self, status: &mut DeploymentStatus) {
        let mut conditions = self
            .sets
            .iter()
            .filter_map(|set| set.status.as_ref()?.conditions.as_ref())
            .flatten();
        let failure = conditions.find(|condition| condition.type_ == "ReplicaFailure");
        let Some(failure) = failure else {
            return remove(status, "ReplicaFailure");
        };
        let known = condition(status, "ReplicaFailure");
        if known.is_some_and(|known| known.reason == failure.reason && known.status == failure.status) {
            return;
        }
        remove(status, "ReplicaFailure");
        status
            .conditions
            .get_or_insert_default()
            .push(DeploymentCondition {
                type_: failure.type_.clone(),
                status: failure.status.clone(),
                reason: failure.reason.clone(),
                message: failure.message.clone(),
                last_update_time: Some(self.cluster.clock.now()),
                last_transition_time: failure.last_transition_time.clone(),
            });
    }

    /// How long it is until the rollout has taken too long.
    fn deadline(&self, status: &DeploymentStatus) -> Option<Duration> {
        let seconds = self
            .spec()
            .progress_deadline_seconds
            .filter(|seconds| *seconds != i32::MAX)?;
        let progress = condition(status, "Progressing")?;
        if is_complete(&self.deployment, status)
            || progress.reason.as_deref() == Some("ProgressDeadlineExceeded")
        {
            return None;
        }
        let since = progress.last_update_time.as_ref()?;
        Some(self.cluster.clock.until(since, i64::from(seconds) + 1))
    }

    async fn write_status(&self, status: DeploymentStatus) -> Result<(), ReconcileError> {
        if self.deployment.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut deployment = self.deployment.clone();
        deployment.status = Some(status);
        let api = self.api::<Deployment>();
        gone_is_fine(
            api.replace_status(&deployment.name_any(), &writing(), &deployment)
                .await,
        )?;
        Ok(())
    }

    /// Says that the rollout was paused or goes on, so that no deadline runs meanwhile.
    pub(super) async fn note_pause(&mut self) -> Result<(), ReconcileError> {
        let spec = self.spec();
        if spec
            .progress_deadline_seconds
            .is_none_or(|seconds| seconds == i32::MAX)
        {
            return Ok(());
        }
        let status = self.deployment.status.clone().unwrap_or_default();
        let reason = condition(&status, "Progressing").and_then(|condition| condition.reason.as_deref());
        match (spec.paused == Some(true), reason) {
            (_, Some("ProgressDeadlineExceeded")) | (true, Some("DeploymentPaused")) => Ok(()),
            (true, _) => {
                let progress = Progress::new("Unknown", "DeploymentPaused");
                self.write_progress(progress, "Deployment is paused".to_owned())
                    .await
            }
            (false, Some("DeploymentPaused")) => {
                let progress = Progress::new("Unknown", "DeploymentResumed");
                self.write_progress(progress, "Deployment is resumed".to_owned())
                    .await
            }
            (false, _) => Ok(()),
        }
    }
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let number = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(after.updated_replicas) > number(before.updated_replicas)
        || old(after) < old(before)
        || number(after.ready_replicas) > number(before.ready_replicas)
        || number(after.available_replicas) > number(before.available_replicas)
}

fn has_timed_out(status: &DeploymentStatus, deadline: i32, clock: &Clock) -> bool {
    let Some(progress) = condition(status, "Progressing") else {
        return false;
    };
    match (progress.reason.as_deref(), &progress.last_update_time) {
        (Some("NewReplicaSetAvailable"), _) => false,
        (Some("ProgressDeadlineExceeded"), _) => true,
        (_, Some(since)) => clock.until(since, deadline.into()).is_zero(),
        (_, None) => false,
    }
}
