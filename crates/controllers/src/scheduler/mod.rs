//! The scheduler: gives each pod a node that takes it, or says why there is none.
//!
//! Source of the wording: `k8s.io/kubernetes/pkg/scheduler`, 1.34.

mod placement;
mod request;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::{
    core::v1::{Binding, Node, ObjectReference, PersistentVolumeClaim, Pod, Volume},
    storage::v1::StorageClass,
};
use kube::{
    ResourceExt as _,
    api::{ListParams, ObjectMeta, Patch},
};
use serde_json::json;

use crate::{
    cluster::{Cluster, News, patching, writing},
    error::{ReconcileError, gone_is_fine},
    informer::Informer,
    owner::is_deleting,
    pod,
    queue::{Next, Queue, Reconciler},
};
use placement::Room;

const NAME: &str = "default-scheduler";

/// How long a claim may take to be bound before its pod is said to wait for it.
///
/// Times of the API are whole seconds: it is one at least.
const BINDING_TAKES_SECONDS: i64 = 2;

pub(crate) struct Scheduler {
    pub(crate) cluster: Cluster,
}

/// Looks at all pods when there is one to place, and when room may have come free.
pub(crate) fn look_at_pods(pods: &Informer<Pod>, queue: &Queue<()>) {
    let queue = queue.clone();
    pods.listen(move |change| {
        let leaves = |pod: &Pod| pod::has_ended(pod);
        let frees_room = match (change.before, change.after) {
            (Some(before), Some(after)) => leaves(after) && !leaves(before),
            (_, None) => true,
            (None, _) => false,
        };
        if frees_room || change.after.is_some_and(waits) {
            queue.add(());
        }
    });
}

/// Looks at all pods at each change of something that they may wait for.
pub(crate) fn look_after<K>(informer: &Informer<K>, queue: &Queue<()>)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let queue = queue.clone();
    informer.listen(move |_| queue.add(()));
}

/// Whether the pod waits for this scheduler.
fn waits(pod: &Pod) -> bool {
    let spec = pod.spec.clone().unwrap_or_default();
    spec.node_name.is_none_or(|name| name.is_empty())
        && spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
        && spec.scheduling_gates.unwrap_or_default().is_empty()
        && pod::is_active(pod)
}

impl Reconciler for Scheduler {
    type Key = ();
    const NAME: &'static str = NAME;

    async fn reconcile(&self, (): &()) -> Result<Next, ReconcileError> {
        let all = self
            .cluster
            .all::<Pod>()
            .list(&ListParams::default())
            .await?
            .items;
        let (mut waiting, placed): (Vec<Pod>, Vec<Pod>) = all.into_iter().partition(waits);
        if waiting.is_empty() {
            return Ok(None);
        }
        waiting.sort_by_key(|pod| (pod.creation_timestamp(), pod.resource_version()));
        let nodes = self.cluster.all::<Node>().list(&ListParams::default()).await?;
        let mut rooms: Vec<Room> = nodes.into_iter().map(Room::new).collect();
        for room in &mut rooms {
            let name = room.node.name_any();
            let on_it =
                |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&name);
            placed
                .iter()
                .filter(on_it)
                .filter(|pod| !pod::has_ended(pod))
                .for_each(|pod| room.fill(pod));
        }
        let mut next = None;
        for pod in &waiting {
            match self.obstacle(pod, &rooms).await? {
                Obstacle::None(at) => {
                    self.bind(pod, &rooms[at].node.name_any()).await?;
                    rooms[at].fill(pod);
                }
                Obstacle::Passing(pause) => next = Some(next.map_or(pause, |next: Duration| next.min(pause))),
                Obstacle::Lasting(why) => self.refuse(pod, why).await?,
            }
        }
        Ok(next)
    }
}

/// What keeps a pod from a node.
enum Obstacle {
    /// Nothing: the node at this place takes it.
    None(usize),
    /// A claim that is about to be bound.
    Passing(Duration),
    Lasting(String),
}

impl Scheduler {
    async fn obstacle(&self, pod: &Pod, rooms: &[Room]) -> Result<Obstacle, ReconcileError> {
        if rooms.is_empty() {
            return Ok(Obstacle::Lasting(
                "no nodes available to schedule pods".to_owned(),
            ));
        }
        let summary = |reasons: &str| format!("0/{} nodes are available: {reasons}.", rooms.len());
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            match self.claim_obstacle(pod, volume).await? {
                Some(Obstacle::Lasting(reason)) => return Ok(Obstacle::Lasting(summary(&reason))),
                Some(other) => return Ok(other),
                None => {}
            }
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (at, room) in rooms.iter().enumerate() {
            let objections = room.objections(pod);
            if objections.is_empty() {
                return Ok(Obstacle::None(at));
            }
            objections
                .into_iter()
                .for_each(|reason| *counts.entry(reason).or_default() += 1);
        }
        let reasons: Vec<String> = counts
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        Ok(Obstacle::Lasting(summary(&reasons.join(", "))))
    }

    async fn claim_obstacle(&self, pod: &Pod, volume: &Volume) -> Result<Option<Obstacle>, ReconcileError> {
        let Some(name) = pod::claim_name(pod, volume) else {
            return Ok(None);
        };
        let api = self
            .cluster
            .api::<PersistentVolumeClaim>(&pod.namespace().unwrap_or_default());
        let Some(claim) = api.get_opt(&name).await? else {
            let why = format!("persistentvolumeclaim {name:?} not found");
            return Ok(Some(Obstacle::Lasting(why)));
        };
        if is_deleting(&claim) {
            let why = format!("persistentvolumeclaim {name:?} is being deleted");
            return Ok(Some(Obstacle::Lasting(why)));
        }
        if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound") {
            return Ok(None);
        }
        let patience = claim
            .creation_timestamp()
            .map(|made| self.cluster.clock.until(&made, BINDING_TAKES_SECONDS));
        let patience = patience.unwrap_or_default();
        if !patience.is_zero() && self.class_is_known(&claim).await? {
            return Ok(Some(Obstacle::Passing(patience)));
        }
        Ok(Some(Obstacle::Lasting(
            "pod has unbound immediate PersistentVolumeClaims".to_owned(),
        )))
    }

    async fn class_is_known(&self, claim: &PersistentVolumeClaim) -> Result<bool, ReconcileError> {
        match claim
            .spec
            .as_ref()
            .and_then(|spec| spec.storage_class_name.as_deref())
        {
            None => Ok(true),
            Some("") => Ok(false),
            Some(name) => Ok(self.cluster.all::<StorageClass>().get_opt(name).await?.is_some()),
        }
    }

    async fn bind(&self, pod: &Pod, node: &str) -> Result<(), ReconcileError> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let binding = Binding {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        let api = self.cluster.api::<Pod>(&namespace);
        let bound = api
            .create_subresource::<_, serde_json::Value>("binding", &name, &writing(), &binding)
            .await;
        if gone_is_fine(bound)?.is_some() {
            let message = format!("Successfully assigned {namespace}/{name} to {node}");
            self.tell(pod, false, "Scheduled", message).await;
        }
        Ok(())
    }

    /// Says in the pod why it has no node, when that was not said yet.
    async fn refuse(&self, pod: &Pod, why: String) -> Result<(), ReconcileError> {
        if pod::condition(pod, "PodScheduled").is_some_and(|known| known.message.as_ref() == Some(&why)) {
            return Ok(());
        }
        let status = pod.status.clone().unwrap_or_default();
        let mut conditions = status.conditions.unwrap_or_default();
        conditions.retain(|condition| condition.type_ != "PodScheduled");
        let mut conditions = serde_json::to_value(conditions)?;
        if let Some(conditions) = conditions.as_array_mut() {
            conditions.push(json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why,
                "lastProbeTime": null, "lastTransitionTime": self.cluster.clock.now(),
            }));
        }
        let api = self.cluster.api::<Pod>(&pod.namespace().unwrap_or_default());
        let patch =
            Patch::Merge(json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": conditions}}));
        gone_is_fine(api.patch_status(&pod.name_any(), &patching(), &patch).await)?;
        self.tell(pod, true, "FailedScheduling", why).await;
        Ok(())
    }

    async fn tell(&self, pod: &Pod, warning: bool, reason: &str, message: String) {
        let news = News {
            from: NAME,
            warning,
            reason,
            message,
        };
        self.cluster.tell(pod, news).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NODE, TestCluster, template};

    fn pod_of(name: &str, cpu: &str) -> serde_json::Value {
        let mut object = template(name, "ready");
        object["metadata"]["name"] = name.into();
        object["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        object
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_waits_until_there_is_room_and_says_what_is_missing() {
        let cluster = TestCluster::start().await;
        cluster.create::<Pod>(pod_of("first", "1500m")).await;
        let first = cluster.until_one("first", pod::is_ready).await;
        assert_eq!(first.spec.unwrap().node_name.as_deref(), Some(NODE));
        let message = cluster.event("first", "Scheduled").await;
        assert_eq!(message, "Successfully assigned default/first to node");

        cluster.create::<Pod>(pod_of("second", "1")).await;
        let why = "0/1 nodes are available: 1 Insufficient cpu.";
        assert_eq!(cluster.event("second", "FailedScheduling").await, why);
        let second: Pod = cluster.api().get("second").await.unwrap();
        let condition = pod::condition(&second, "PodScheduled").unwrap();
        assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
        assert_eq!(condition.message.as_deref(), Some(why));

        cluster
            .api::<Pod>()
            .delete("first", &Default::default())
            .await
            .unwrap();
        let second = cluster.until_one("second", pod::is_ready).await;
        assert_eq!(pod::condition(&second, "PodScheduled").unwrap().status, "True");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_without_its_claim_says_so() {
        let cluster = TestCluster::start().await;
        let mut object = pod_of("p", "1");
        object["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]);
        cluster.create::<Pod>(object).await;
        let why = "0/1 nodes are available: persistentvolumeclaim \"none\" not found.";
        assert_eq!(cluster.event("p", "FailedScheduling").await, why);
    }
}
