//! ReplicaSets: keep so many pods of a template as are asked for.

use k8s_openapi::api::{
    apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
    core::v1::{Pod, PodTemplateSpec},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
    core::{Selector, SelectorExt as _},
};

use crate::{
    cluster::{Cluster, News, writing},
    error::{ReconcileError, gone_is_fine, message},
    informer::Key,
    owner::{self, controller_reference, is_deleting},
    pod,
    queue::{Next, Reconciler},
};

/// How many pods are made or deleted in one go.
const BURST: usize = 500;

const CONTROLLER: &str = "replicaset-controller";

pub(crate) struct ReplicaSets {
    pub(crate) cluster: Cluster,
}

impl Reconciler for ReplicaSets {
    type Key = Key;
    const NAME: &'static str = CONTROLLER;

    async fn reconcile(&self, key: &Key) -> Result<Next, ReconcileError> {
        let api: Api<ReplicaSet> = self.cluster.api(&key.namespace);
        let Some(set) = api.get_opt(&key.name).await? else {
            return Ok(None);
        };
        let spec = set.spec.clone().unwrap_or_default();
        let Some(selector) = owner::selector(Some(&spec.selector))? else {
            return Ok(None);
        };
        let mut pods: Vec<Pod> = owner::claim(&self.cluster, &set, &selector).await?;
        pods.retain(pod::is_active);
        let managed = if is_deleting(&set) {
            Ok(())
        } else {
            self.manage(&set, spec.replicas.unwrap_or(1), &pods).await
        };
        let status = self.status(&set, &pods, &managed);
        if set.status.as_ref() != Some(&status) {
            let mut set = set.clone();
            set.status = Some(status);
            gone_is_fine(api.replace_status(&key.name, &writing(), &set).await)?;
        }
        managed.map_err(|failure| failure.error)?;
        Ok(pod::next_available(
            &pods,
            spec.min_ready_seconds.unwrap_or(0),
            &self.cluster.clock,
        ))
    }
}

/// What kept pods from being made or deleted.
struct Failure {
    reason: &'static str,
    error: kube::Error,
}

impl ReplicaSets {
    async fn manage(&self, set: &ReplicaSet, wanted: i32, pods: &[Pod]) -> Result<(), Failure> {
        let wanted = usize::try_from(wanted).unwrap_or(0);
        if pods.len() < wanted {
            let missing = (wanted - pods.len()).min(BURST);
            return self.create(set, missing).await.map_err(|error| Failure {
                reason: "FailedCreate",
                error,
            });
        }
        let mut surplus: Vec<&Pod> = pods.iter().collect();
        surplus.sort_by_cached_key(|pod| pod::deletion_rank(pod));
        surplus.truncate((pods.len() - wanted).min(BURST));
        self.delete(set, &surplus).await.map_err(|error| Failure {
            reason: "FailedDelete",
            error,
        })
    }

    async fn create(&self, set: &ReplicaSet, count: usize) -> Result<(), kube::Error> {
        let namespace = set.namespace().unwrap_or_default();
        let api: Api<Pod> = self.cluster.api(&namespace);
        let mut new = pod::from_template(&template(set), &namespace, controller_reference(set));
        new.metadata.generate_name = Some(format!("{}-", set.name_any()));
        for _ in 0..count {
            match api.create(&writing(), &new).await {
                Ok(pod) => {
                    let message = format!("Created pod: {}", pod.name_any());
                    self.tell(set, false, "SuccessfulCreate", message).await;
                }
                Err(error) => {
                    let message = format!("Error creating: {}", message(&error));
                    self.tell(set, true, "FailedCreate", message).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn delete(&self, set: &ReplicaSet, pods: &[&Pod]) -> Result<(), kube::Error> {
        let api: Api<Pod> = self.cluster.api(&set.namespace().unwrap_or_default());
        for pod in pods {
            let options = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: pod.uid(),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            let name = pod.name_any();
            match gone_is_fine(api.delete(&name, &options).await) {
                Ok(_) => {
                    self.tell(set, false, "SuccessfulDelete", format!("Deleted pod: {name}"))
                        .await
                }
                Err(error) => {
                    let message = format!("Error deleting: {}", message(&error));
                    self.tell(set, true, "FailedDelete", message).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn tell(&self, set: &ReplicaSet, warning: bool, reason: &str, message: String) {
        let news = News {
            from: CONTROLLER,
            warning,
            reason,
            message,
        };
        self.cluster.tell(set, news).await;
    }

    fn status(&self, set: &ReplicaSet, pods: &[Pod], managed: &Result<(), Failure>) -> ReplicaSetStatus {
        let spec = set.spec.clone().unwrap_or_default();
        let labels: Selector = template(set)
            .metadata
            .and_then(|meta| meta.labels)
            .into_iter()
            .flatten()
            .collect();
        let count = |holds: &dyn Fn(&Pod) -> bool| {
            i32::try_from(pods.iter().filter(|pod| holds(pod)).count()).unwrap_or(i32::MAX)
        };
        let min_ready = spec.min_ready_seconds.unwrap_or(0);
        ReplicaSetStatus {
            replicas: count(&|_| true),
            fully_labeled_replicas: Some(count(&|pod| labels.matches(pod.labels())))
                .filter(|count| *count > 0),
            ready_replicas: Some(count(&pod::is_ready)).filter(|count| *count > 0),
            available_replicas: Some(count(&|pod| {
                pod::is_available(pod, min_ready, &self.cluster.clock)
            }))
            .filter(|count| *count > 0),
            observed_generation: set.metadata.generation,
            conditions: self.conditions(set, managed),
            ..ReplicaSetStatus::default()
        }
    }

    fn conditions(
        &self,
        set: &ReplicaSet,
        managed: &Result<(), Failure>,
    ) -> Option<Vec<ReplicaSetCondition>> {
        let before = set
            .status
            .as_ref()
            .and_then(|status| status.conditions.clone())
            .unwrap_or_default();
        let (earlier, mut conditions): (Vec<_>, Vec<_>) = before
            .into_iter()
            .partition(|condition| condition.type_ == "ReplicaFailure");
        if let Err(failure) = managed {
            let same = earlier
                .into_iter()
                .find(|condition| condition.reason.as_deref() == Some(failure.reason));
            conditions.push(same.unwrap_or_else(|| ReplicaSetCondition {
                type_: "ReplicaFailure".to_owned(),
                status: "True".to_owned(),
                last_transition_time: Some(self.cluster.clock.now()),
                reason: Some(failure.reason.to_owned()),
                message: Some(message(&failure.error)),
            }));
        }
        Some(conditions).filter(|conditions| !conditions.is_empty())
    }
}

fn template(set: &ReplicaSet) -> PodTemplateSpec {
    set.spec
        .as_ref()
        .and_then(|spec| spec.template.clone())
        .unwrap_or_default()
}
