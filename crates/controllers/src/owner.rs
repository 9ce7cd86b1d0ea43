//! Who owns an object: controller references, and how an owner claims what its selector matches.
//!
//! Source of the rules: "Owners and Dependents" and the ControllerRef design of Kubernetes.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, ObjectMeta, Patch},
    core::{Selector, SelectorExt as _},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{
    cluster::{Cluster, patching},
    error::{ReconcileError, gone_is_fine},
    informer::{Change, Informer, Key},
    queue::Queue,
};

/// The reference to the controller that owns the object.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = meta.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// Whether `owner` is the controller of the object.
pub(crate) fn is_controlled_by(meta: &ObjectMeta, owner: &ObjectMeta) -> bool {
    controller_of(meta).is_some_and(|reference| owner.uid.as_ref() == Some(&reference.uid))
}

/// The reference that makes `owner` the controller of another object.
pub(crate) fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

pub(crate) fn is_deleting(object: &impl Resource) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// A selector that an object holds. One that is absent or empty selects nothing.
pub(crate) fn selector(selector: Option<&LabelSelector>) -> Result<Option<Selector>, ReconcileError> {
    let selector: Selector = selector.cloned().unwrap_or_default().try_into()?;
    Ok((!selector.selects_all()).then_some(selector))
}

/// The objects of kind `K` that `owner` controls, after it took those without a controller that its
/// selector matches, and let go those that it matches no more.
pub(crate) async fn claim<O, K>(
    cluster: &Cluster,
    owner: &O,
    selector: &Selector,
) -> Result<Vec<K>, ReconcileError>
where
    O: Resource<DynamicType = ()>,
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = cluster.api(owner.meta().namespace.as_deref().unwrap_or_default());
    let mut owned = Vec::new();
    for object in api.list(&ListParams::default()).await? {
        let matches = selector.matches(object.labels());
        let claimed = match controller_of(object.meta()) {
            Some(_) if !is_controlled_by(object.meta(), owner.meta()) => None,
            Some(_) if matches => Some(object),
            Some(_) if is_deleting(owner) => None,
            Some(_) => {
                release(&api, owner, &object).await?;
                None
            }
            None if matches && !is_deleting(owner) && !is_deleting(&object) => {
                adopt(&api, owner, &object).await?
            }
            None => None,
        };
        owned.extend(claimed);
    }
    Ok(owned)
}

async fn adopt<O, K>(api: &Api<K>, owner: &O, object: &K) -> Result<Option<K>, kube::Error>
where
    O: Resource<DynamicType = ()>,
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut references = object.owner_references().to_vec();
    references.push(controller_reference(owner));
    set_owners(api, object, &references).await
}

async fn release<O, K>(api: &Api<K>, owner: &O, object: &K) -> Result<Option<K>, kube::Error>
where
    O: Resource,
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut references = object.owner_references().to_vec();
    references.retain(|reference| owner.meta().uid.as_ref() != Some(&reference.uid));
    set_owners(api, object, &references).await
}

async fn set_owners<K>(
    api: &Api<K>,
    object: &K,
    references: &[OwnerReference],
) -> Result<Option<K>, kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let patch = Patch::Merge(json!({"metadata": {
        "uid": object.meta().uid,
        "resourceVersion": object.meta().resource_version,
        "ownerReferences": references,
    }}));
    gone_is_fine(api.patch(&object.name_any(), &patching(), &patch).await)
}

/// Looks at an object at each of its changes.
pub(crate) fn look_at_each<K>(informer: &Informer<K>, queue: &Queue<Key>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let queue = queue.clone();
    informer.listen(move |change| {
        change
            .states()
            .last()
            .into_iter()
            .for_each(|object| queue.add(Key::of(object)))
    });
}

/// Looks at the owner of kind `O` at each change of what it controls, and at all owners that may take
/// an object that has none.
pub(crate) fn look_at_owner<O, K>(owners: &Informer<O>, informer: &Informer<K>, queue: &Queue<Key>)
where
    O: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (queue, owners) = (queue.clone(), owners.clone());
    informer.listen(move |change| {
        keys_of_owners(&owners, change)
            .into_iter()
            .for_each(|key| queue.add(key))
    });
}

fn keys_of_owners<O, K>(owners: &Informer<O>, change: &Change<'_, K>) -> Vec<Key>
where
    O: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K: Resource,
{
    let mut keys = Vec::new();
    for object in change.states() {
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        match controller_of(object.meta()) {
            Some(owner) if owner.kind == O::kind(&()) => keys.push(Key::new(namespace, &owner.name)),
            Some(_) => {}
            None => keys.extend(
                owners
                    .in_namespace(namespace)
                    .iter()
                    .map(|owner| Key::of(&**owner)),
            ),
        }
    }
    keys
}
