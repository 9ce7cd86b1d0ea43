//! The pods of a job: how many there are to be, made with a pause after failures.

use std::time::Duration;

use k8s_openapi::{
    api::{
        batch::v1::JobStatus,
        core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{ResourceExt as _, api::DeleteParams};

use super::{
    Run, indexes,
    tracking::{FINALIZER, Tally},
};
use crate::{
    cluster::writing,
    error::{ReconcileError, gone_is_fine, message},
    owner::controller_reference,
    pod::{self, label},
    queue::Next,
};

/// The pauses after failures: doubled from the first to the longest.
const FIRST_PAUSE_SECONDS: i64 = 10;
const LONGEST_PAUSE_SECONDS: i64 = 600;

impl Run<'_> {
    /// Makes pods that are missing and deletes those beyond what is asked for; gives the pause after
    /// which it makes more.
    pub(super) async fn manage(&mut self, tally: &Tally, status: &JobStatus) -> Result<Next, ReconcileError> {
        let spec = self.spec();
        let mut active = self.active();
        let present = i32::try_from(active.len()).unwrap_or(i32::MAX);
        let parallelism = spec.parallelism.unwrap_or(1);
        let wanted = match spec.completions {
            Some(completions) => (completions - tally.succeeded()).clamp(0, parallelism),
            // one success means that the work is done: no new pods
            None if tally.succeeded() > 0 => present.min(parallelism),
            None => parallelism,
        };
        if present > wanted {
            active.sort_by_cached_key(pod::deletion_rank);
            active.truncate(usize::try_from(present - wanted).unwrap_or(0));
            self.delete_pods(active).await?;
            return Ok(None);
        }
        if present == wanted {
            return Ok(None);
        }
        let pause = self.pause_after_failures(status);
        if !pause.is_zero() {
            return Ok(Some(pause));
        }
        for _ in present..wanted {
            self.create_pod(tally).await?;
        }
        Ok(None)
    }

    /// What is left of the pause that follows the failures since the last success.
    fn pause_after_failures(&self, status: &JobStatus) -> Duration {
        let ended = |phase: &str| {
            let pods = self.pods.iter().filter(|pod| pod::phase(pod) == phase);
            pods.filter_map(ended_at).collect::<Vec<Time>>()
        };
        let last_success = ended("Succeeded").into_iter().max();
        let mut failures = ended("Failed");
        failures.retain(|end| last_success.as_ref().is_none_or(|success| end > success));
        // what was resumed starts afresh
        failures.retain(|end| status.start_time.as_ref().is_none_or(|start| end >= start));
        let Some(last) = failures.iter().max() else {
            return Duration::ZERO;
        };
        let doublings = u32::try_from(failures.len() - 1).unwrap_or(u32::MAX).min(16);
        let seconds = (FIRST_PAUSE_SECONDS << doublings).min(LONGEST_PAUSE_SECONDS);
        self.cluster.clock.until(last, seconds)
    }

    async fn create_pod(&mut self, tally: &Tally) -> Result<(), ReconcileError> {
        let new = self.new_pod(tally);
        match self.pods_api().create(&writing(), &new).await {
            Ok(made) => {
                self.tell(
                    false,
                    "SuccessfulCreate",
                    format!("Created pod: {}", made.name_any()),
                )
                .await;
                self.pods.push(made);
                Ok(())
            }
            Err(error) => {
                self.tell(
                    true,
                    "FailedCreate",
                    format!("Error creating: {}", message(&error)),
                )
                .await;
                Err(error.into())
            }
        }
    }

    fn new_pod(&self, tally: &Tally) -> Pod {
        let name = self.job.name_any();
        let namespace = self.job.namespace().unwrap_or_default();
        let mut pod = pod::from_template(&self.spec().template, &namespace, controller_reference(&self.job));
        pod.metadata
            .finalizers
            .get_or_insert_default()
            .push(FINALIZER.to_owned());
        pod.metadata.generate_name = Some(format!("{name}-"));
        if let Some(completed) = tally.completed() {
            let taken = |index: i32| {
                completed.contains(index)
                    || self
                        .pods
                        .iter()
                        .any(|pod| pod::is_active(pod) && indexes::index_of(pod) == Some(index))
            };
            let free = (0..self.spec().completions.unwrap_or(0)).find(|index| !taken(*index));
            free.into_iter()
                .for_each(|index| give_index(&mut pod, &name, index));
        }
        pod
    }

    pub(super) async fn delete_pods(&mut self, pods: Vec<Pod>) -> Result<(), ReconcileError> {
        let api = self.pods_api();
        for pod in pods {
            let name = pod.name_any();
            gone_is_fine(api.delete(&name, &DeleteParams::default()).await)?;
            self.tell(false, "SuccessfulDelete", format!("Deleted pod: {name}"))
                .await;
            let after = api.get_opt(&name).await?;
            self.pods.retain(|known| known.uid() != pod.uid());
            self.pods.extend(after);
        }
        Ok(())
    }
}

/// When the last container of a pod ended.
fn ended_at(pod: &Pod) -> Option<Time> {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let ends = statuses.filter_map(|status| status.state.as_ref()?.terminated.as_ref()?.finished_at.clone());
    let ready = pod::condition(pod, "Ready").and_then(|condition| condition.last_transition_time.clone());
    ends.max().or(ready).or_else(|| pod.creation_timestamp())
}

fn give_index(pod: &mut Pod, job: &str, index: i32) {
    let text = index.to_string();
    pod.metadata.generate_name = Some(format!("{job}-{index}-"));
    label(&mut pod.metadata, indexes::ANNOTATION, &text);
    pod.annotations_mut().insert(indexes::ANNOTATION.to_owned(), text);
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(format!("{job}-{index}"));
    let source = EnvVarSource {
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.labels['{}']", indexes::ANNOTATION),
            ..ObjectFieldSelector::default()
        }),
        ..EnvVarSource::default()
    };
    let variable = EnvVar {
        name: "JOB_COMPLETION_INDEX".to_owned(),
        value_from: Some(source),
        ..EnvVar::default()
    };
    for container in spec
        .init_containers
        .iter_mut()
        .flatten()
        .chain(&mut spec.containers)
    {
        let env = container.env.get_or_insert_default();
        if env.iter().all(|known| known.name != variable.name) {
            env.push(variable.clone());
        }
    }
}
