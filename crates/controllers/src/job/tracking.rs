//! The count of a job's pods that ended, right even when pods are deleted: a finalizer keeps each
//! until it is counted.
//!
//! Source of the protocol: KEP-2307, job tracking without lingering pods.

use k8s_openapi::api::{
    batch::v1::{Job, JobStatus, UncountedTerminatedPods},
    core::v1::Pod,
};
use kube::{Api, ResourceExt as _, api::Patch};
use serde_json::json;

use super::indexes::{self, Indexes};
use crate::{
    cluster::patching,
    error::{ReconcileError, gone_is_fine},
    owner::is_deleting,
    pod,
};

pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
pub(super) const JOB_LABEL: &str = "batch.kubernetes.io/job-name";

/// The pods that ended: those that are counted, and those that are noted, to be counted once their
/// finalizer is gone.
pub(super) struct Tally {
    succeeded: i32,
    failed: i32,
    noted: UncountedTerminatedPods,
    completed: Option<Indexes>,
}

impl Tally {
    pub(super) fn new(job: &Job, pods: &[Pod]) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let noted = status.uncounted_terminated_pods.unwrap_or_default();
        let (succeeded, succeeded_noted) = settle(noted.succeeded, pods);
        let (failed, failed_noted) = settle(noted.failed, pods);
        let mut tally = Self {
            succeeded: status.succeeded.unwrap_or(0) + succeeded,
            failed: status.failed.unwrap_or(0) + failed,
            noted: UncountedTerminatedPods {
                succeeded: succeeded_noted,
                failed: failed_noted,
            },
            completed: indexes::is_indexed(job).then(|| Indexes::parse(status.completed_indexes.as_deref())),
        };
        pods.iter()
            .filter(|pod| has_finalizer(pod))
            .for_each(|pod| tally.note(pod));
        tally
    }

    fn note(&mut self, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        if pod::phase(pod) == "Succeeded" {
            if let Some(completed) = &mut self.completed {
                // a set of numbers: none is counted twice
                completed.extend(indexes::index_of(pod));
                return;
            }
            note(&mut self.noted.succeeded, uid);
        } else if pod::phase(pod) == "Failed" || is_deleting(pod) {
            note(&mut self.noted.failed, uid);
        }
    }

    pub(super) fn succeeded(&self) -> i32 {
        match &self.completed {
            Some(completed) => completed.count(),
            None => self.succeeded + count(self.noted.succeeded.as_ref()),
        }
    }

    pub(super) fn failed(&self) -> i32 {
        self.failed + count(self.noted.failed.as_ref())
    }

    /// The numbers of an indexed job that are done.
    pub(super) fn completed(&self) -> Option<&Indexes> {
        self.completed.as_ref()
    }

    /// Whether no pod is noted that is not counted.
    pub(super) fn is_settled(&self) -> bool {
        self.noted.succeeded.is_none() && self.noted.failed.is_none()
    }

    pub(super) fn write_into(&self, status: &mut JobStatus) {
        let succeeded = self.completed.as_ref().map_or(self.succeeded, Indexes::count);
        status.succeeded = Some(succeeded).filter(|count| *count > 0);
        status.failed = Some(self.failed).filter(|count| *count > 0);
        status.completed_indexes = self
            .completed
            .as_ref()
            .map(Indexes::to_string)
            .filter(|text| !text.is_empty());
        status.uncounted_terminated_pods = Some(self.noted.clone());
    }

    /// The pods whose finalizers have done their part, now that the status notes them.
    pub(super) fn counted<'a>(&self, pods: &'a [Pod]) -> impl Iterator<Item = &'a Pod> + use<'a> {
        pods.iter().filter(|pod| pod::has_ended(pod) || is_deleting(*pod))
    }
}

fn count(uids: Option<&Vec<String>>) -> i32 {
    uids.map_or(0, |uids| i32::try_from(uids.len()).unwrap_or(i32::MAX))
}

fn note(list: &mut Option<Vec<String>>, uid: String) {
    let list = list.get_or_insert_default();
    if !list.contains(&uid) {
        list.push(uid);
    }
}

/// How many of the noted pods can be counted, their finalizers being gone, and the others.
fn settle(noted: Option<Vec<String>>, pods: &[Pod]) -> (i32, Option<Vec<String>>) {
    let held = |uid: &String| {
        pods.iter()
            .any(|pod| pod.uid().as_ref() == Some(uid) && has_finalizer(pod))
    };
    let (waiting, countable): (Vec<_>, Vec<_>) = noted.into_iter().flatten().partition(held);
    (
        count(Some(&countable)),
        Some(waiting).filter(|waiting| !waiting.is_empty()),
    )
}

fn has_finalizer(pod: &Pod) -> bool {
    pod.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Takes the finalizer from pods.
pub(super) async fn release<'a>(
    api: &Api<Pod>,
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Result<(), ReconcileError> {
    for pod in pods.into_iter().filter(|pod| has_finalizer(pod)) {
        let mut others = pod.finalizers().to_vec();
        others.retain(|finalizer| finalizer != FINALIZER);
        let patch = Patch::Merge(json!({"metadata": {
            "uid": pod.uid(), "resourceVersion": pod.resource_version(), "finalizers": others,
        }}));
        gone_is_fine(api.patch(&pod.name_any(), &patching(), &patch).await)?;
    }
    Ok(())
}

/// Takes the finalizer from the pods of a job that is gone or going.
pub(super) async fn release_orphans(api: &Api<Pod>, job: &str, pods: &[Pod]) -> Result<(), ReconcileError> {
    let of_job = |pod: &&Pod| pod.labels().get(JOB_LABEL).is_some_and(|name| name == job);
    release(api, pods.iter().filter(of_job)).await
}
