//! StatefulSets: pods with names and volumes that stay theirs, made and replaced in order.
//!
//! Source of the rules: `k8s.io/kubernetes/pkg/controller/statefulset`, 1.34.

mod claims;
mod identity;
mod revision;
mod rollout;

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus},
    core::v1::Pod,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
};

use crate::{
    cluster::{Cluster, News, writing},
    error::{ReconcileError, gone_is_fine, has_code, message},
    informer::Key,
    owner::{self, is_deleting},
    pod,
    queue::{Next, Reconciler},
};
use revision::Revisions;

const CONTROLLER: &str = "statefulset-controller";

pub(crate) struct StatefulSets {
    pub(crate) cluster: Cluster,
}

impl Reconciler for StatefulSets {
    type Key = Key;
    const NAME: &'static str = CONTROLLER;

    async fn reconcile(&self, key: &Key) -> Result<Next, ReconcileError> {
        let api: Api<StatefulSet> = self.cluster.api(&key.namespace);
        let Some(set) = api.get_opt(&key.name).await? else {
            return Ok(None);
        };
        let selector = set.spec.as_ref().map(|spec| &spec.selector);
        let Some(selector) = owner::selector(selector)? else {
            return Ok(None);
        };
        let mut pods: Vec<Pod> = owner::claim(&self.cluster, &set, &selector).await?;
        pods.retain(|pod| identity::ordinal(&set, pod).is_some());
        let revisions = Revisions::sync(&self.cluster, &set, &selector).await?;
        let mut state = State {
            cluster: &self.cluster,
            set,
            pods,
            revisions,
        };
        let made = if is_deleting(&state.set) {
            Ok(())
        } else {
            state.advance().await
        };
        state.write_status().await?;
        made?;
        state
            .revisions
            .truncate(&self.cluster, &state.set, &state.pods)
            .await?;
        Ok(state.next_available())
    }
}

/// A set, its pods and its revisions at one moment.
struct State<'a> {
    cluster: &'a Cluster,
    set: StatefulSet,
    pods: Vec<Pod>,
    revisions: Revisions,
}

impl State<'_> {
    fn spec(&self) -> StatefulSetSpec {
        self.set.spec.clone().unwrap_or_default()
    }

    fn pods_api(&self) -> Api<Pod> {
        self.cluster.api(&self.set.namespace().unwrap_or_default())
    }

    fn is_available(&self, pod: &Pod) -> bool {
        pod::phase(pod) == "Running"
            && pod::is_available(
                pod,
                self.spec().min_ready_seconds.unwrap_or(0),
                &self.cluster.clock,
            )
    }

    fn next_available(&self) -> Option<Duration> {
        pod::next_available(
            &self.pods,
            self.spec().min_ready_seconds.unwrap_or(0),
            &self.cluster.clock,
        )
    }

    /// Makes a pod, and its claims before it.
    async fn create(&mut self, mut new: Pod) -> Result<(), ReconcileError> {
        let name = new.name_any();
        let made = async {
            claims::create_missing(self.cluster, &self.set, &new).await?;
            self.pods_api().create(&writing(), &new).await
        };
        match made.await {
            Ok(made) => new = made,
            Err(error) if has_code(&error, 409) => return Err(error.into()),
            Err(error) => {
                let what = self.what_of(&name);
                let text = format!("create {what} failed error: {}", message(&error));
                self.tell(true, "FailedCreate", text).await;
                return Err(error.into());
            }
        }
        self.tell(
            false,
            "SuccessfulCreate",
            format!("create {} successful", self.what_of(&name)),
        )
        .await;
        self.pods.push(new);
        Ok(())
    }

    async fn delete(&self, pod: &Pod) -> Result<(), ReconcileError> {
        let options = DeleteParams {
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let name = pod.name_any();
        match gone_is_fine(self.pods_api().delete(&name, &options).await) {
            Ok(_) => {
                self.tell(
                    false,
                    "SuccessfulDelete",
                    format!("delete {} successful", self.what_of(&name)),
                )
                .await;
                Ok(())
            }
            Err(error) => {
                let text = format!("delete {} failed error: {}", self.what_of(&name), message(&error));
                self.tell(true, "FailedDelete", text).await;
                Err(error.into())
            }
        }
    }

    fn what_of(&self, pod: &str) -> String {
        format!("Pod {pod} in StatefulSet {}", self.set.name_any())
    }

    async fn tell(&self, warning: bool, reason: &str, message: String) {
        let news = News {
            from: CONTROLLER,
            warning,
            reason,
            message,
        };
        self.cluster.tell(&self.set, news).await;
    }

    async fn write_status(&self) -> Result<(), ReconcileError> {
        let status = self.status();
        if self.set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let api: Api<StatefulSet> = self.cluster.api(&self.set.namespace().unwrap_or_default());
        let mut set = self.set.clone();
        set.status = Some(status);
        gone_is_fine(api.replace_status(&set.name_any(), &writing(), &set).await)?;
        Ok(())
    }

    fn status(&self) -> StatefulSetStatus {
        let count = |holds: &dyn Fn(&Pod) -> bool| {
            i32::try_from(self.pods.iter().filter(|pod| holds(pod)).count()).unwrap_or(i32::MAX)
        };
        let stays_with =
            |pod: &Pod, revision: &str| !is_deleting(pod) && identity::revision(pod) == Some(revision);
        let revisions = &self.revisions;
        let runs = |pod: &Pod| pod::phase(pod) == "Running" && pod::is_ready(pod);
        let mut current = revisions.current.clone();
        let updated = count(&|pod| stays_with(pod, &revisions.update));
        let (replicas, ready) = (count(&|_| true), count(&runs));
        let rolls = self
            .spec()
            .update_strategy
            .and_then(|strategy| strategy.type_)
            .as_deref()
            != Some("OnDelete");
        // a rollout is over when all pods are of the new revision and ready
        if rolls && current != revisions.update && updated == replicas && ready == replicas {
            current.clone_from(&revisions.update);
        }
        let nonzero = |count: i32| Some(count).filter(|count| *count != 0);
        StatefulSetStatus {
            observed_generation: self.set.metadata.generation,
            replicas,
            ready_replicas: nonzero(ready),
            available_replicas: Some(count(&|pod| self.is_available(pod))),
            current_replicas: nonzero(count(&|pod| stays_with(pod, &current))),
            updated_replicas: nonzero(updated),
            current_revision: Some(current),
            update_revision: Some(revisions.update.clone()),
            collision_count: Some(revisions.collisions),
            conditions: None,
        }
    }
}

#[cfg(test)]
mod tests;
