//! Deployments: roll from one ReplicaSet to the next.
//!
//! Source of the rules: `k8s.io/kubernetes/pkg/controller/deployment`, 1.34.

mod annotation;
mod revision;
mod scaling;
mod status;

use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentSpec, ReplicaSet},
    core::v1::Pod,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};

use crate::{
    cluster::{Cluster, News, writing},
    error::{ReconcileError, gone_is_fine},
    informer::{Informer, Key},
    owner::{self, controller_of, is_controlled_by, is_deleting},
    pod,
    queue::{Next, Queue, Reconciler},
};

const CONTROLLER: &str = "deployment-controller";

pub(crate) struct Deployments {
    pub(crate) cluster: Cluster,
}

impl Reconciler for Deployments {
    type Key = Key;
    const NAME: &'static str = CONTROLLER;

    async fn reconcile(&self, key: &Key) -> Result<Next, ReconcileError> {
        let api: Api<Deployment> = self.cluster.api(&key.namespace);
        let Some(deployment) = api.get_opt(&key.name).await? else {
            return Ok(None);
        };
        let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
        let Some(selector) = owner::selector(selector)? else {
            return Ok(None);
        };
        let sets = owner::claim(&self.cluster, &deployment, &selector).await?;
        Rollout {
            cluster: &self.cluster,
            deployment,
            sets,
        }
        .advance()
        .await
    }
}

/// Looks at the deployment of a pod that is gone: to recreate, it waits for that.
pub(crate) fn look_at_gone_pods(pods: &Informer<Pod>, sets: &Informer<ReplicaSet>, queue: &Queue<Key>) {
    let (sets, queue) = (sets.clone(), queue.clone());
    pods.listen(move |change| {
        if let (Some(pod), None) = (change.before, change.after)
            && let Some(owner) = controller_of(&pod.metadata)
            && let Some(set) = sets.get(&Key::new(&pod.namespace().unwrap_or_default(), &owner.name))
            && let Some(deployment) = controller_of(&set.metadata)
        {
            queue.add(Key::new(&set.namespace().unwrap_or_default(), &deployment.name));
        }
    });
}

/// A deployment and its ReplicaSets at one moment.
struct Rollout<'a> {
    cluster: &'a Cluster,
    deployment: Deployment,
    sets: Vec<ReplicaSet>,
}

impl Rollout<'_> {
    async fn advance(mut self) -> Result<Next, ReconcileError> {
        if is_deleting(&self.deployment) {
            return self.sync_status(None).await;
        }
        self.note_pause().await?;
        if self.spec().paused == Some(true) || self.is_scaled() {
            let new = self.sync_revision(false).await?;
            self.scale(new.as_ref()).await?;
            if self.spec().paused == Some(true) {
                self.clean_up(new.as_ref()).await?;
            }
            return self.sync_scaled_status(new.as_ref()).await;
        }
        let strategy = self.spec().strategy.and_then(|strategy| strategy.type_);
        if strategy.as_deref() == Some("Recreate") {
            self.recreate().await
        } else {
            self.roll().await
        }
    }

    fn spec(&self) -> DeploymentSpec {
        self.deployment.spec.clone().unwrap_or_default()
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType: Default>,
    {
        self.cluster.api(&self.deployment.namespace().unwrap_or_default())
    }

    /// The ReplicaSets other than the new one.
    fn old_sets(&self, new: Option<&ReplicaSet>) -> Vec<ReplicaSet> {
        let uid = new.and_then(|set| set.uid());
        self.sets
            .iter()
            .filter(|set| set.uid() != uid || uid.is_none())
            .cloned()
            .collect()
    }

    /// Whether the number of replicas was changed since the ReplicaSets were told it.
    fn is_scaled(&self) -> bool {
        let wanted = self.spec().replicas.unwrap_or(1);
        self.sets
            .iter()
            .filter(|set| scaling::replicas(set) > 0)
            .any(|set| annotation::desired_replicas(set).is_some_and(|desired| desired != wanted))
    }

    async fn roll(mut self) -> Result<Next, ReconcileError> {
        let new = self.sync_revision(true).await?;
        if let Some(set) = &new {
            let target = scaling::new_replicas(&self.spec(), &self.sets, set);
            if target != scaling::replicas(set) {
                self.scale_set(set, target).await?;
                return self.sync_status(new.as_ref()).await;
            }
            if self.scale_down_old(set).await? {
                return self.sync_status(new.as_ref()).await;
            }
        }
        self.finish(new).await
    }

    /// Scales down what the new ReplicaSet replaces, as far as enough pods stay available.
    async fn scale_down_old(&mut self, new: &ReplicaSet) -> Result<bool, ReconcileError> {
        let plan = scaling::scale_down(&self.spec(), &self.old_sets(Some(new)), new);
        for (set, target) in &plan {
            self.scale_set(set, *target).await?;
        }
        Ok(!plan.is_empty())
    }

    async fn recreate(mut self) -> Result<Next, ReconcileError> {
        let new = self.sync_revision(false).await?;
        let mut scaled = false;
        for set in self.old_sets(new.as_ref()) {
            if scaling::replicas(&set) > 0 {
                self.scale_set(&set, 0).await?;
                scaled = true;
            }
        }
        if scaled || self.old_pods_run(new.as_ref()).await? {
            return self.sync_status(new.as_ref()).await;
        }
        let new = self.sync_revision(true).await?;
        if let Some(set) = &new {
            let wanted = self.spec().replicas.unwrap_or(1);
            if scaling::replicas(set) != wanted {
                self.scale_set(set, wanted).await?;
            }
        }
        self.finish(new).await
    }

    async fn old_pods_run(&self, new: Option<&ReplicaSet>) -> Result<bool, ReconcileError> {
        let old = self.old_sets(new);
        let pods = self.api::<Pod>().list(&ListParams::default()).await?;
        let is_old = |pod: &Pod| {
            old.iter()
                .any(|set| is_controlled_by(&pod.metadata, &set.metadata))
        };
        Ok(pods.iter().any(|pod| is_old(pod) && !pod::has_ended(pod)))
    }

    async fn finish(mut self, new: Option<ReplicaSet>) -> Result<Next, ReconcileError> {
        if status::is_complete(&self.deployment, &self.status(new.as_ref())) {
            self.clean_up(new.as_ref()).await?;
        }
        self.sync_status(new.as_ref()).await
    }

    /// Brings the ReplicaSets to a changed number of replicas, each in proportion to its size.
    async fn scale(&mut self, new: Option<&ReplicaSet>) -> Result<(), ReconcileError> {
        for (set, target) in scaling::scaled(&self.spec(), &self.sets, new) {
            self.scale_set(&set, target).await?;
        }
        Ok(())
    }

    /// Sets the replicas of a ReplicaSet, and tells it those of the deployment.
    async fn scale_set(&mut self, set: &ReplicaSet, target: i32) -> Result<(), ReconcileError> {
        let before = scaling::replicas(set);
        let mut after = set.clone();
        let marked = annotation::mark_replicas(&mut after, &self.spec());
        if before == target && !marked {
            return Ok(());
        }
        after.spec.get_or_insert_default().replicas = Some(target);
        let after = self.api().replace(&set.name_any(), &writing(), &after).await?;
        if let Some(known) = self.sets.iter_mut().find(|known| known.uid() == after.uid()) {
            *known = after;
        }
        if before != target {
            self.tell_scaling(set, before, target).await;
        }
        Ok(())
    }

    async fn tell_scaling(&self, set: &ReplicaSet, before: i32, after: i32) {
        let direction = if after > before { "up" } else { "down" };
        let name = set.name_any();
        let message = format!("Scaled {direction} replica set {name} from {before} to {after}");
        self.tell(false, "ScalingReplicaSet", message).await;
    }

    async fn tell(&self, warning: bool, reason: &str, message: String) {
        let news = News {
            from: CONTROLLER,
            warning,
            reason,
            message,
        };
        self.cluster.tell(&self.deployment, news).await;
    }

    /// Deletes the oldest ReplicaSets beyond those that are kept to roll back to.
    async fn clean_up(&mut self, new: Option<&ReplicaSet>) -> Result<(), ReconcileError> {
        let kept = usize::try_from(self.spec().revision_history_limit.unwrap_or(10)).unwrap_or(usize::MAX);
        let mut old = self.old_sets(new);
        old.retain(|set| !is_deleting(set));
        old.sort_by_key(annotation::revision_of_set);
        let surplus = old.len().saturating_sub(kept);
        for set in old.into_iter().take(surplus) {
            let status = set.status.clone().unwrap_or_default();
            let is_idle = status.replicas == 0 && scaling::replicas(&set) == 0;
            if is_idle && status.observed_generation >= set.metadata.generation {
                let api = self.api::<ReplicaSet>();
                gone_is_fine(api.delete(&set.name_any(), &DeleteParams::background()).await)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
