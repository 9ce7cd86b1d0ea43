//! Jobs: run pods until so many of them succeed, or too many fail.
//!
//! Source of the rules: `k8s.io/kubernetes/pkg/controller/job`, 1.34.

mod condition;
mod indexes;
mod pods;
mod tracking;

use std::time::Duration;

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec, JobStatus},
    core::v1::Pod,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};

use crate::{
    cluster::{Cluster, News, writing},
    error::{ReconcileError, gone_is_fine},
    informer::Key,
    owner::{is_controlled_by, is_deleting},
    pod,
    queue::{Next, Reconciler},
};
use tracking::Tally;

const CONTROLLER: &str = "job-controller";

/// What a Job may ask for that is not done here.
const NOT_SERVED: [&str; 4] = [
    "backoffLimitPerIndex",
    "podFailurePolicy",
    "successPolicy",
    "managedBy",
];

pub(crate) struct Jobs {
    pub(crate) cluster: Cluster,
}

impl Reconciler for Jobs {
    type Key = Key;
    const NAME: &'static str = CONTROLLER;

    async fn reconcile(&self, key: &Key) -> Result<Next, ReconcileError> {
        let job = self.cluster.api::<Job>(&key.namespace).get_opt(&key.name).await?;
        let api: Api<Pod> = self.cluster.api(&key.namespace);
        let all = api.list(&ListParams::default()).await?.items;
        let Some(job) = job.filter(|job| !is_deleting(job)) else {
            tracking::release_orphans(&api, &key.name, &all).await?;
            return Ok(None);
        };
        let pods = all
            .into_iter()
            .filter(|pod| is_controlled_by(&pod.metadata, &job.metadata))
            .collect();
        let run = Run {
            cluster: &self.cluster,
            job,
            pods,
        };
        run.advance().await
    }
}

/// A job and its pods at one moment.
struct Run<'a> {
    cluster: &'a Cluster,
    job: Job,
    pods: Vec<Pod>,
}

impl Run<'_> {
    async fn advance(mut self) -> Result<Next, ReconcileError> {
        if condition::is_finished(&self.job) {
            tracking::release(&self.pods_api(), &self.pods).await?;
            return self.expire().await;
        }
        if let Some(field) = self.not_served()? {
            let text = format!(
                "spec.{field} is not served by the embedded cluster; use a real one (--target kubeconfig)"
            );
            self.tell(true, "NotServed", text).await;
            return Ok(None);
        }
        let tally = Tally::new(&self.job, &self.pods);
        let mut status = self.job.status.clone().unwrap_or_default();
        tally.write_into(&mut status);
        let told = self.note_suspension(&mut status);
        let verdict = condition::verdict(&self.job, &self.pods, &tally, &self.cluster.clock);
        if let Some(verdict) = verdict.as_ref().filter(|_| !condition::is_decided(&status)) {
            condition::set(
                &mut status,
                verdict.target,
                "True",
                verdict.why(),
                &self.cluster.clock,
            );
        }
        let (mut next, mut failed) = (None, Ok(()));
        if condition::is_decided(&status) || self.spec().suspend == Some(true) {
            self.delete_pods(self.active()).await?;
        } else {
            match self.manage(&tally, &status).await {
                Ok(pause) => next = pause,
                Err(error) => failed = Err(error),
            }
        }
        self.count_live(&mut status);
        let end = self.finish(&mut status, &tally);
        self.write_status(status).await?;
        for (warning, reason, text) in told.into_iter().chain(end) {
            self.tell(warning, reason, text).await;
        }
        tracking::release(&self.pods_api(), tally.counted(&self.pods)).await?;
        failed?;
        Ok(earliest(next, self.until_deadline()))
    }

    fn spec(&self) -> JobSpec {
        self.job.spec.clone().unwrap_or_default()
    }

    fn pods_api(&self) -> Api<Pod> {
        self.cluster.api(&self.job.namespace().unwrap_or_default())
    }

    fn not_served(&self) -> Result<Option<&'static str>, ReconcileError> {
        let spec = serde_json::to_value(self.spec())?;
        Ok(NOT_SERVED.into_iter().find(|field| !spec[*field].is_null()))
    }

    fn active(&self) -> Vec<Pod> {
        self.pods
            .iter()
            .filter(|pod| pod::is_active(pod))
            .cloned()
            .collect()
    }

    fn count_live(&self, status: &mut JobStatus) {
        let count = |holds: &dyn Fn(&Pod) -> bool| {
            i32::try_from(self.pods.iter().filter(|pod| holds(pod)).count()).unwrap_or(i32::MAX)
        };
        let active = count(&pod::is_active);
        status.active = Some(active).filter(|count| *count > 0);
        status.ready = Some(count(&|pod| pod::is_active(pod) && pod::is_ready(pod)));
        status.terminating = Some(count(&|pod| is_deleting(pod) && !pod::has_ended(pod)));
    }

    /// Sets when the job began, and the condition Suspended; gives the events of that.
    fn note_suspension(&self, status: &mut JobStatus) -> Option<(bool, &'static str, String)> {
        let clock = &self.cluster.clock;
        let suspended = self.spec().suspend == Some(true);
        let was_suspended = condition::holds(status, "Suspended");
        if suspended {
            status.start_time = None;
        } else if status.start_time.is_none() {
            status.start_time = Some(clock.now());
        }
        let (value, reason, event, text) = match (was_suspended, suspended) {
            (false, true) => ("True", "JobSuspended", "Suspended", "Job suspended"),
            (true, false) => ("False", "JobResumed", "Resumed", "Job resumed"),
            _ => return None,
        };
        condition::set(status, "Suspended", value, (reason, text), clock);
        Some((false, event, text.to_owned()))
    }

    /// Ends the job once it is decided and none of its pods is left to end; gives the event of that.
    fn finish(&self, status: &mut JobStatus, tally: &Tally) -> Option<(bool, &'static str, String)> {
        let verdict = condition::decided(status)?;
        let quiet = status.active.is_none() && status.terminating == Some(0);
        if !quiet || !tally.is_settled() {
            return None;
        }
        condition::set(status, verdict.end, "True", verdict.why(), &self.cluster.clock);
        if verdict.end == "Complete" {
            status.completion_time = Some(self.cluster.clock.now());
            return Some((false, "Completed", "Job completed".to_owned()));
        }
        Some((true, verdict.reason, verdict.message.to_owned()))
    }

    async fn write_status(&mut self, status: JobStatus) -> Result<(), ReconcileError> {
        if self.job.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let api: Api<Job> = self.cluster.api(&self.job.namespace().unwrap_or_default());
        let mut job = self.job.clone();
        job.status = Some(status);
        self.job = api.replace_status(&job.name_any(), &writing(), &job).await?;
        Ok(())
    }

    async fn tell(&self, warning: bool, reason: &str, message: String) {
        let news = News {
            from: CONTROLLER,
            warning,
            reason,
            message,
        };
        self.cluster.tell(&self.job, news).await;
    }

    fn until_deadline(&self) -> Option<Duration> {
        let seconds = self.spec().active_deadline_seconds?;
        let start = self.job.status.as_ref()?.start_time.as_ref()?;
        Some(self.cluster.clock.until(start, seconds)).filter(|_| !condition::is_finished(&self.job))
    }

    /// Deletes a finished job when its time is over.
    async fn expire(&self) -> Result<Next, ReconcileError> {
        let ends = condition::finished_at(&self.job).zip(self.spec().ttl_seconds_after_finished);
        let Some((end, seconds)) = ends else {
            return Ok(None);
        };
        let left = self.cluster.clock.until(&end, seconds.into());
        if !left.is_zero() {
            return Ok(Some(left));
        }
        let api: Api<Job> = self.cluster.api(&self.job.namespace().unwrap_or_default());
        gone_is_fine(
            api.delete(&self.job.name_any(), &DeleteParams::foreground())
                .await,
        )?;
        Ok(None)
    }
}

fn earliest(one: Next, other: Next) -> Next {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
