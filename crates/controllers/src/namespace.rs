//! The end of namespaces: deletes all that is in one, then the namespace.
//!
//! Source of the wording: `k8s.io/kubernetes/pkg/controller/namespace/deletion`, 1.34.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams},
};

use crate::{
    cluster::{Cluster, writing},
    error::{ReconcileError, gone_is_fine},
    informer::{Informer, Key},
    kinds::{AnyMeta, Kind},
    owner::is_deleting,
    queue::{Next, Queue, Reconciler},
};

const FINALIZER: &str = "kubernetes";

pub(crate) struct Namespaces {
    pub(crate) cluster: Cluster,
    pub(crate) kinds: Vec<Arc<Kind>>,
}

/// Looks at a namespace when it changes.
pub(crate) fn look_at_leaving(namespaces: &Informer<Namespace>, queue: &Queue<String>) {
    let queue = queue.clone();
    namespaces.listen(move |change| {
        change
            .after
            .filter(|namespace| is_deleting(*namespace))
            .into_iter()
            .for_each(|one| queue.add(one.name_any()));
    });
}

/// Looks at a namespace that is being deleted when something in it is gone.
pub(crate) fn look_when_gone(
    namespaces: &Informer<Namespace>,
    informer: &Informer<AnyMeta>,
    queue: &Queue<String>,
) {
    let (namespaces, queue) = (namespaces.clone(), queue.clone());
    informer.listen(move |change| {
        if let (Some(object), None) = (change.before, change.after)
            && let Some(namespace) = object.namespace()
            && namespaces
                .get(&Key::new("", &namespace))
                .is_some_and(|namespace| is_deleting(&*namespace))
        {
            queue.add(namespace);
        }
    });
}

impl Reconciler for Namespaces {
    type Key = String;
    const NAME: &'static str = "namespace-controller";

    async fn reconcile(&self, name: &String) -> Result<Next, ReconcileError> {
        let api = self.cluster.all::<Namespace>();
        let namespace = api.get_opt(name).await?.filter(is_deleting);
        let Some(mut namespace) = namespace else {
            return Ok(None);
        };
        let remaining = self.delete_contents(name).await?;
        if remaining.is_empty() {
            let spec = namespace.spec.get_or_insert_default();
            spec.finalizers
                .get_or_insert_default()
                .retain(|finalizer| finalizer != FINALIZER);
            gone_is_fine(
                api.replace_subresource("finalize", name, &writing(), &namespace)
                    .await,
            )?;
            return Ok(None);
        }
        let status = namespace.status.get_or_insert_default();
        let conditions = self.conditions(status.conditions.as_deref().unwrap_or_default(), &remaining);
        if status.conditions.as_ref() != Some(&conditions) {
            status.conditions = Some(conditions);
            gone_is_fine(api.replace_status(name, &writing(), &namespace).await)?;
        }
        Ok(None)
    }
}

/// What is left of a kind: how many objects, and how often each finalizer.
struct Remaining {
    resource: String,
    count: usize,
    finalizers: BTreeMap<String, usize>,
}

impl Namespaces {
    async fn delete_contents(&self, namespace: &str) -> Result<Vec<Remaining>, ReconcileError> {
        let mut remaining = Vec::new();
        for kind in self.kinds.iter().filter(|kind| kind.namespaced) {
            let objects = kind.api::<AnyMeta>(&self.cluster.client, namespace);
            if objects.list(&ListParams::default()).await?.items.is_empty() {
                continue;
            }
            let all = kind.api::<DynamicObject>(&self.cluster.client, namespace);
            all.delete_collection(&DeleteParams::background(), &ListParams::default())
                .await?;
            let left = objects.list(&ListParams::default()).await?.items;
            if !left.is_empty() {
                remaining.push(Remaining::new(kind, &left));
            }
        }
        Ok(remaining)
    }

    fn conditions(&self, before: &[NamespaceCondition], remaining: &[Remaining]) -> Vec<NamespaceCondition> {
        let counts = remaining
            .iter()
            .map(|one| format!("{} has {} resource instances", one.resource, one.count));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, count) in remaining.iter().flat_map(|one| &one.finalizers) {
            *finalizers.entry(name).or_default() += count;
        }
        let held = finalizers
            .iter()
            .map(|(name, count)| format!("{name} in {count} resource instances"));
        let held = held.collect::<Vec<_>>().join(", ");
        let deleted = "All content successfully deleted, may be waiting on finalization";
        let remain = format!("Some resources are remaining: {counts}");
        let finalizing = if held.is_empty() {
            (
                "False",
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished".to_owned(),
            )
        } else {
            let message = format!("Some content in the namespace has finalizers remaining: {held}");
            ("True", "SomeFinalizersRemain", message)
        };
        let all = [
            (
                "NamespaceDeletionContentFailure",
                ("False", "ContentDeleted", deleted.to_owned()),
            ),
            (
                "NamespaceContentRemaining",
                ("True", "SomeResourcesRemain", remain),
            ),
            ("NamespaceFinalizersRemaining", finalizing),
        ];
        all.into_iter()
            .map(|(kind, state)| self.condition(before, kind, state))
            .collect()
    }

    fn condition(
        &self,
        before: &[NamespaceCondition],
        kind: &str,
        (status, reason, message): (&str, &str, String),
    ) -> NamespaceCondition {
        let same = before
            .iter()
            .find(|known| known.type_ == kind && known.status == status);
        NamespaceCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: same
                .and_then(|known| known.last_transition_time.clone())
                .or_else(|| Some(self.cluster.clock.now())),
        }
    }
}

impl Remaining {
    fn new(kind: &Kind, objects: &[AnyMeta]) -> Self {
        let resource = &kind.resource;
        let mut finalizers = BTreeMap::new();
        for finalizer in objects.iter().flat_map(|object| object.finalizers()) {
            *finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        Self {
            // as upstream: the core group has an empty name after the dot
            resource: format!("{}.{}", resource.plural, resource.group),
            count: objects.len(),
            finalizers,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};
    use kube::Api;
    use serde_json::json;

    use super::*;
    use crate::testing::{TestCluster, template};

    async fn gone(cluster: &TestCluster, name: &str) -> bool {
        cluster.settled().await;
        cluster.all::<Namespace>().get_opt(name).await.unwrap().is_none()
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_goes_with_all_that_is_in_it() {
        let cluster = TestCluster::start().await;
        let namespaces = cluster.all::<Namespace>();
        cluster
            .create_in(namespaces.clone(), json!({"metadata": {"name": "n"}}))
            .await;
        let mut object = template("p", "ready");
        object["metadata"]["name"] = "p".into();
        cluster
            .create_in(Api::<Pod>::namespaced(cluster.client.clone(), "n"), object)
            .await;
        cluster.settled().await;
        namespaces.delete("n", &DeleteParams::default()).await.unwrap();
        assert!(gone(&cluster, "n").await);
        let pods = cluster.all::<Pod>().list(&ListParams::default()).await.unwrap();
        assert!(pods.items.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_says_what_holds_it() {
        let cluster = TestCluster::start().await;
        let namespaces = cluster.all::<Namespace>();
        cluster
            .create_in(namespaces.clone(), json!({"metadata": {"name": "n"}}))
            .await;
        let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), "n");
        let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/held"]}});
        cluster.create_in(maps.clone(), held).await;
        namespaces.delete("n", &DeleteParams::default()).await.unwrap();
        assert!(!gone(&cluster, "n").await);
        let status = namespaces.get("n").await.unwrap().status.unwrap();
        assert_eq!(status.phase.as_deref(), Some("Terminating"));
        let conditions = status.conditions.unwrap();
        let messages: Vec<_> = conditions
            .iter()
            .filter_map(|condition| condition.message.as_deref())
            .collect();
        assert_eq!(
            messages[1..],
            [
                "Some resources are remaining: configmaps. has 1 resource instances",
                "Some content in the namespace has finalizers remaining: example.com/held in 1 resource instances",
            ]
        );
        let release = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
        maps.patch("held", &Default::default(), &release).await.unwrap();
        assert!(gone(&cluster, "n").await);
    }
}
