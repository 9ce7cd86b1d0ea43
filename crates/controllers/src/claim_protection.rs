//! Keeps a claim that is deleted for as long as pods use it.
//!
//! Source of the rules: "Storage Object in Use Protection" of the Kubernetes documentation.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch},
};
use serde_json::json;

use crate::{
    cluster::{Cluster, patching},
    error::{ReconcileError, gone_is_fine},
    informer::{Informer, Key},
    owner::is_deleting,
    pod::{claim_name, has_ended},
    queue::{Next, Queue, Reconciler},
};

const FINALIZER: &str = "kubernetes.io/pvc-protection";

pub(crate) struct ClaimProtection {
    pub(crate) cluster: Cluster,
}

/// Looks at the claims of a pod that is gone or has ended.
pub(crate) fn look_at_claims_of(pods: &Informer<Pod>, queue: &Queue<Key>) {
    let queue = queue.clone();
    pods.listen(move |change| {
        let Some(pod) = change.states().last() else { return };
        if change.after.is_none_or(has_ended) {
            let namespace = pod.namespace().unwrap_or_default();
            claims(pod).for_each(|name| queue.add(Key::new(&namespace, &name)));
        }
    });
}

fn claims(pod: &Pod) -> impl Iterator<Item = String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| claim_name(pod, volume))
}

impl Reconciler for ClaimProtection {
    type Key = Key;
    const NAME: &'static str = "persistentvolumeclaim-protection-controller";

    async fn reconcile(&self, key: &Key) -> Result<Next, ReconcileError> {
        let api: Api<PersistentVolumeClaim> = self.cluster.api(&key.namespace);
        let Some(claim) = api.get_opt(&key.name).await? else {
            return Ok(None);
        };
        let mut finalizers = claim.finalizers().to_vec();
        let is_protected = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
        match (is_protected, is_deleting(&claim)) {
            (false, false) => finalizers.push(FINALIZER.to_owned()),
            (true, true) if !self.is_used(key).await? => {
                finalizers.retain(|finalizer| finalizer != FINALIZER)
            }
            _ => return Ok(None),
        }
        let patch = Patch::Merge(json!({"metadata": {
            "uid": claim.uid(), "resourceVersion": claim.resource_version(), "finalizers": finalizers,
        }}));
        gone_is_fine(api.patch(&key.name, &patching(), &patch).await)?;
        Ok(None)
    }
}

impl ClaimProtection {
    /// Whether a pod with a node names the claim, and has not ended.
    async fn is_used(&self, key: &Key) -> Result<bool, ReconcileError> {
        let pods = self
            .cluster
            .api::<Pod>(&key.namespace)
            .list(&ListParams::default())
            .await?;
        let placed = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let mut running = pods.iter().filter(placed).filter(|pod| !has_ended(pod));
        Ok(running.any(|pod| claims(pod).any(|name| name == key.name)))
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DeleteParams;

    use super::*;
    use crate::{
        pod::is_ready,
        testing::{TestCluster, template},
    };

    #[tokio::test(start_paused = true)]
    async fn a_claim_outlives_the_pods_that_use_it() {
        let cluster = TestCluster::start().await;
        let claim = json!({
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        cluster.create::<PersistentVolumeClaim>(claim).await;
        let mut object = template("p", "ready");
        object["metadata"]["name"] = "p".into();
        object["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
        cluster.create::<Pod>(object).await;
        cluster.until_one("p", is_ready).await;
        cluster
            .api::<PersistentVolumeClaim>()
            .delete("data", &DeleteParams::default())
            .await
            .unwrap();
        cluster.settled().await;
        assert!(is_deleting(&cluster.list::<PersistentVolumeClaim>().await[0]));
        cluster
            .api::<Pod>()
            .delete("p", &DeleteParams::default())
            .await
            .unwrap();
        cluster
            .until(|claims: &[PersistentVolumeClaim]| claims.is_empty())
            .await;
    }
}
