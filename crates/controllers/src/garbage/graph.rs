//! Which object owns which.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use crate::{informer::Key, kinds::Kind};

/// An object as the graph knows it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Arc<Kind>,
    pub(super) key: Key,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) deleting: bool,
    pub(super) finalizers: Vec<String>,
}

impl Node {
    pub(super) fn new(kind: &Arc<Kind>, meta: &ObjectMeta) -> Self {
        Self {
            kind: kind.clone(),
            key: Key::new(
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            ),
            owners: meta.owner_references.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
        }
    }
}

#[derive(Default)]
struct Inner {
    nodes: HashMap<String, Node>,
    /// By the `uid` of the owner, which may be gone or not known yet.
    dependents: HashMap<String, HashSet<String>>,
}

/// The graph of all objects, by their `uid`. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Graph {
    inner: Arc<Mutex<Inner>>,
}

impl Graph {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an object as it is now; gives the objects that have to be looked at therefore.
    pub(super) fn put(&self, kind: &Arc<Kind>, meta: &ObjectMeta) -> Vec<String> {
        let Some(uid) = meta.uid.clone() else {
            return Vec::new();
        };
        let node = Node::new(kind, meta);
        let mut inner = self.lock();
        let before = inner.unlink(&uid);
        for owner in &node.owners {
            inner
                .dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.clone());
        }
        let concerned = !node.owners.is_empty() || (node.deleting && !node.finalizers.is_empty());
        inner.nodes.insert(uid.clone(), node);
        let mut touched = before;
        if concerned {
            touched.push(uid);
        }
        touched
    }

    /// Takes out an object that is gone; gives its owners, which may have waited for that, and what it
    /// owned.
    pub(super) fn remove(&self, meta: &ObjectMeta) -> Vec<String> {
        let Some(uid) = &meta.uid else { return Vec::new() };
        let mut inner = self.lock();
        let mut touched = inner.unlink(uid);
        inner.nodes.remove(uid);
        touched.extend(inner.dependents.get(uid).into_iter().flatten().cloned());
        touched
    }

    pub(super) fn get(&self, uid: &str) -> Option<Node> {
        self.lock().nodes.get(uid).cloned()
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<(String, Node)> {
        let inner = self.lock();
        let uids = inner.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| Some((uid.clone(), inner.nodes.get(uid)?.clone())))
            .collect()
    }
}

impl Inner {
    /// Forgets who owned the object; gives those owners that are being deleted.
    fn unlink(&mut self, uid: &str) -> Vec<String> {
        let owners = self
            .nodes
            .get(uid)
            .map(|node| node.owners.clone())
            .unwrap_or_default();
        let mut leaving = Vec::new();
        for owner in owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
            if self.nodes.get(&owner.uid).is_some_and(|node| node.deleting) {
                leaving.push(owner.uid);
            }
        }
        leaving
    }
}
