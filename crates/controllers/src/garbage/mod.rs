//! Garbage collection: deletes what nobody owns any more, in the foreground, in the background or not
//! at all, as the owner's deletion says.
//!
//! Source of the rules: "Garbage Collection" of the Kubernetes documentation, and
//! `k8s.io/kubernetes/pkg/controller/garbagecollector`, 1.34.

mod graph;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, Preconditions, PropagationPolicy},
};
use serde_json::json;

use crate::{
    cluster::{Cluster, patching},
    error::{ReconcileError, gone_is_fine},
    informer::Informer,
    kinds::{AnyMeta, Kind},
    owner::is_deleting,
    queue::{Next, Queue, Reconciler},
};
use graph::{Graph, Node};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Collects objects by their `uid`.
pub(crate) struct GarbageCollector {
    cluster: Cluster,
    kinds: Vec<Arc<Kind>>,
    graph: Graph,
    queue: Queue<String>,
}

impl GarbageCollector {
    pub(crate) fn new(cluster: Cluster, kinds: Vec<Arc<Kind>>, queue: Queue<String>) -> Self {
        Self {
            cluster,
            kinds,
            graph: Graph::default(),
            queue,
        }
    }

    /// Keeps the graph of owners up to date with the objects of a kind.
    pub(crate) fn listen(&self, kind: &Arc<Kind>, informer: &Informer<AnyMeta>) {
        let (graph, queue, kind) = (self.graph.clone(), self.queue.clone(), kind.clone());
        informer.listen(move |change| {
            let touched = match (change.before, change.after) {
                (_, Some(object)) => graph.put(&kind, &object.metadata),
                (Some(object), None) => graph.remove(&object.metadata),
                (None, None) => Vec::new(),
            };
            touched.into_iter().for_each(|uid| queue.add(uid));
        });
    }
}

impl Reconciler for GarbageCollector {
    type Key = String;
    const NAME: &'static str = "garbage-collector";

    async fn reconcile(&self, uid: &String) -> Result<Next, ReconcileError> {
        let Some(node) = self.graph.get(uid) else {
            return Ok(None);
        };
        let live = node
            .kind
            .api::<AnyMeta>(&self.cluster.client, &node.key.namespace)
            .get_opt(&node.key.name)
            .await?;
        let Some(live) = live.filter(|live| live.uid().as_ref() == Some(uid)) else {
            return Ok(None);
        };
        if is_deleting(&live) {
            let has = |finalizer: &str| live.finalizers().iter().any(|one| one == finalizer);
            if has(ORPHAN) {
                self.orphan_dependents(uid).await?;
                self.drop_finalizer(&node, &live, ORPHAN).await?;
            } else if has(FOREGROUND) {
                self.finish_foreground(uid, &node, &live).await?;
            }
        } else if !live.owner_references().is_empty() {
            self.collect(&node, &live).await?;
        }
        Ok(None)
    }
}

/// The owners of an object by what has become of them.
#[derive(Default)]
struct Owners {
    present: Vec<OwnerReference>,
    /// Gone, or about to be as soon as what they own is.
    leaving: Vec<OwnerReference>,
    /// Whether one of those waits for what it owns.
    waited_for: bool,
}

impl GarbageCollector {
    /// Deletes an object whose owners are all gone; else forgets those that are.
    async fn collect(&self, node: &Node, live: &AnyMeta) -> Result<(), ReconcileError> {
        let owners = self.owners(live).await?;
        if owners.leaving.is_empty() {
            return Ok(());
        }
        if !owners.present.is_empty() {
            return self.set_owners(node, live, &owners.present).await;
        }
        let has = |finalizer: &str| live.finalizers().iter().any(|one| one == finalizer);
        let uid = live.uid().unwrap_or_default();
        let policy = if has(ORPHAN) {
            PropagationPolicy::Orphan
        } else if has(FOREGROUND) || (owners.waited_for && !self.graph.dependents(&uid).is_empty()) {
            PropagationPolicy::Foreground
        } else {
            PropagationPolicy::Background
        };
        let options = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions {
                uid: Some(uid),
                resource_version: live.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let api = node
            .kind
            .api::<DynamicObject>(&self.cluster.client, &node.key.namespace);
        gone_is_fine(api.delete(&node.key.name, &options).await)?;
        Ok(())
    }

    async fn owners(&self, live: &AnyMeta) -> Result<Owners, ReconcileError> {
        let mut owners = Owners::default();
        for reference in live.owner_references() {
            match self.find_owner(reference, live).await? {
                Some(owner) => {
                    let waits = owner.deleting && owner.finalizers.iter().any(|one| one == FOREGROUND);
                    owners.waited_for |= waits;
                    let list = if waits {
                        &mut owners.leaving
                    } else {
                        &mut owners.present
                    };
                    list.push(reference.clone());
                }
                None if self.kind_of(reference).is_none() => owners.present.push(reference.clone()),
                None => owners.leaving.push(reference.clone()),
            }
        }
        Ok(owners)
    }

    /// The owner that the graph knows, or else the API: the graph may not have heard of it yet.
    async fn find_owner(
        &self,
        reference: &OwnerReference,
        owned: &AnyMeta,
    ) -> Result<Option<Node>, ReconcileError> {
        if let Some(node) = self.graph.get(&reference.uid) {
            return Ok(Some(node));
        }
        let Some(kind) = self.kind_of(reference) else {
            return Ok(None);
        };
        let api = kind.api::<AnyMeta>(&self.cluster.client, &owned.namespace().unwrap_or_default());
        let found = api.get_opt(&reference.name).await?;
        let found = found.filter(|owner| owner.uid().as_ref() == Some(&reference.uid));
        Ok(found.map(|owner| Node::new(kind, &owner.metadata)))
    }

    fn kind_of(&self, reference: &OwnerReference) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| {
            kind.resource.kind == reference.kind && kind.resource.api_version == reference.api_version
        })
    }

    /// Lets an owner go when nothing is left that it waits for; else has that deleted.
    async fn finish_foreground(&self, uid: &str, node: &Node, live: &AnyMeta) -> Result<(), ReconcileError> {
        let dependents = self.graph.dependents(uid);
        let blocks = |dependent: &Node| {
            let mut references = dependent.owners.iter();
            references.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        if !dependents.iter().any(|(_, dependent)| blocks(dependent)) {
            return self.drop_finalizer(node, live, FOREGROUND).await;
        }
        for (dependent_uid, dependent) in dependents {
            if !dependent.deleting {
                self.queue.add(dependent_uid);
            }
        }
        Ok(())
    }

    async fn orphan_dependents(&self, uid: &str) -> Result<(), ReconcileError> {
        for (_, dependent) in self.graph.dependents(uid) {
            let api = dependent
                .kind
                .api::<AnyMeta>(&self.cluster.client, &dependent.key.namespace);
            if let Some(live) = api.get_opt(&dependent.key.name).await? {
                let mut others = live.owner_references().to_vec();
                others.retain(|owner| owner.uid != uid);
                if others.len() != live.owner_references().len() {
                    self.set_owners(&dependent, &live, &others).await?;
                }
            }
        }
        Ok(())
    }

    async fn set_owners(
        &self,
        node: &Node,
        live: &AnyMeta,
        owners: &[OwnerReference],
    ) -> Result<(), ReconcileError> {
        self.patch_metadata(node, live, json!({"ownerReferences": owners}))
            .await
    }

    async fn drop_finalizer(
        &self,
        node: &Node,
        live: &AnyMeta,
        finalizer: &str,
    ) -> Result<(), ReconcileError> {
        let mut others = live.finalizers().to_vec();
        others.retain(|one| one != finalizer);
        self.patch_metadata(node, live, json!({"finalizers": others}))
            .await
    }

    async fn patch_metadata(
        &self,
        node: &Node,
        live: &AnyMeta,
        mut metadata: serde_json::Value,
    ) -> Result<(), ReconcileError> {
        metadata["uid"] = json!(live.uid());
        metadata["resourceVersion"] = json!(live.resource_version());
        let api = node
            .kind
            .api::<DynamicObject>(&self.cluster.client, &node.key.namespace);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        gone_is_fine(api.patch(&node.key.name, &patching(), &patch).await)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
