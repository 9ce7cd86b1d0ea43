//! What a StatefulSet does next to its pods: make, replace, delete, one after the other or all at once.

use k8s_openapi::api::{apps::v1::RollingUpdateStatefulSetStrategy, core::v1::Pod};

use super::{State, claims, identity};
use crate::{error::ReconcileError, owner::is_deleting, pod};

/// Whether the next pod may be dealt with in this round.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    GoOn,
    Wait,
}

impl State<'_> {
    pub(super) async fn advance(&mut self) -> Result<(), ReconcileError> {
        let in_order = self.spec().pod_management_policy.as_deref() != Some("Parallel");
        for ordinal in self.ordinals() {
            if self.keep(ordinal, in_order).await? == Step::Wait && in_order {
                return Ok(());
            }
        }
        let mut surplus = self.surplus();
        let first_unhealthy = surplus.iter().rev().find(|pod| !is_healthy(pod)).cloned();
        while let Some(pod) = surplus.pop() {
            let step = self.scale_away(&pod, in_order, first_unhealthy.as_ref()).await?;
            if step == Step::Wait && in_order {
                return Ok(());
            }
        }
        self.replace_outdated().await
    }

    fn ordinals(&self) -> std::ops::Range<i32> {
        let first = identity::first_ordinal(&self.set);
        first..first + self.spec().replicas.unwrap_or(1)
    }

    fn pod(&self, ordinal: i32) -> Option<Pod> {
        self.pods
            .iter()
            .find(|pod| identity::ordinal(&self.set, pod) == Some(ordinal))
            .cloned()
    }

    /// The pods beyond the replicas, the one to go first at the end.
    fn surplus(&self) -> Vec<Pod> {
        let wanted = self.ordinals();
        let beyond =
            |pod: &&Pod| identity::ordinal(&self.set, pod).is_some_and(|ordinal| !wanted.contains(&ordinal));
        let mut surplus: Vec<Pod> = self.pods.iter().filter(beyond).cloned().collect();
        surplus.sort_by_key(|pod| identity::ordinal(&self.set, pod));
        surplus
    }

    /// Makes the pod of this number when it is missing or has ended.
    async fn keep(&mut self, ordinal: i32, in_order: bool) -> Result<Step, ReconcileError> {
        let Some(pod) = self.pod(ordinal) else {
            let revision = self.revision_for(ordinal);
            let template = self.revisions.template(&revision)?;
            self.create(identity::new_pod(&self.set, &template, &revision, ordinal))
                .await?;
            return Ok(Step::Wait);
        };
        if pod::has_ended(&pod) {
            if !is_deleting(&pod) {
                // its successor has its name: it is made when this one is gone
                self.delete(&pod).await?;
            }
            return Ok(Step::Wait);
        }
        if pod::phase(&pod) == "Pending" && !is_deleting(&pod) {
            claims::create_missing(self.cluster, &self.set, &pod).await?;
        }
        let waits = is_deleting(&pod) || !is_healthy(&pod) || !self.is_available(&pod);
        Ok(if in_order && waits { Step::Wait } else { Step::GoOn })
    }

    /// The revision that a new pod of this number is made of.
    fn revision_for(&self, ordinal: i32) -> String {
        let strategy = self.spec().update_strategy.unwrap_or_default();
        let stays = match (strategy.type_.as_deref(), strategy.rolling_update) {
            (Some("OnDelete"), _) => false,
            (_, Some(rolling)) => ordinal < self.ordinals().start + partition(&rolling),
            (_, None) => {
                let current = self
                    .set
                    .status
                    .as_ref()
                    .and_then(|status| status.current_replicas);
                ordinal < self.ordinals().start + current.unwrap_or(0)
            }
        };
        if stays {
            self.revisions.current.clone()
        } else {
            self.revisions.update.clone()
        }
    }

    async fn scale_away(
        &self,
        pod: &Pod,
        in_order: bool,
        first_unhealthy: Option<&Pod>,
    ) -> Result<Step, ReconcileError> {
        if is_deleting(pod) {
            return Ok(Step::Wait);
        }
        // what is not healthy goes alone: no other pod is taken away meanwhile
        let goes_first = first_unhealthy.is_some_and(|first| first.metadata.uid == pod.metadata.uid);
        if in_order && !is_healthy(pod) && !goes_first {
            return Ok(Step::Wait);
        }
        claims::condemn(self.cluster, &self.set, pod).await?;
        self.delete(pod).await?;
        Ok(Step::Wait)
    }

    /// Deletes the last pod that is not of the new revision, once those behind it are healthy.
    async fn replace_outdated(&self) -> Result<(), ReconcileError> {
        let strategy = self.spec().update_strategy.unwrap_or_default();
        if strategy.type_.as_deref() == Some("OnDelete") {
            return Ok(());
        }
        let kept = strategy.rolling_update.as_ref().map_or(0, partition);
        let ordinals = self.ordinals();
        for ordinal in (ordinals.start + kept..ordinals.end).rev() {
            let Some(pod) = self.pod(ordinal) else {
                return Ok(());
            };
            if identity::revision(&pod) != Some(&self.revisions.update) && !is_deleting(&pod) {
                return self.delete(&pod).await;
            }
            if !is_healthy(&pod) || !self.is_available(&pod) {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn partition(rolling: &RollingUpdateStatefulSetStrategy) -> i32 {
    rolling.partition.unwrap_or(0)
}

/// Whether the pod runs, is ready and is to stay.
fn is_healthy(pod: &Pod) -> bool {
    pod::phase(pod) == "Running" && pod::is_ready(pod) && !is_deleting(pod)
}
