//! All kinds that the API serves, known by asking it, and watches of the metadata of their objects.

use std::sync::Arc;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PartialObjectMeta},
    discovery::{Discovery, Scope, verbs},
};

use crate::informer::Informer;

/// The metadata of an object of any kind.
pub(crate) type AnyMeta = PartialObjectMeta<DynamicObject>;

/// Kinds whose objects come and go often and neither own others nor are owned.
const UNWATCHED: [&str; 2] = ["Event", "Lease"];

/// A kind that the API serves.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
}

impl Kind {
    /// The objects of the kind in a namespace, or outside of any.
    pub(crate) fn api<K>(&self, client: &Client, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
    {
        if self.namespaced {
            Api::namespaced_with(client.clone(), namespace, &self.resource)
        } else {
            Api::all_with(client.clone(), &self.resource)
        }
    }
}

/// Asks the API for its kinds: those whose objects can be listed and deleted.
pub(crate) async fn discover(client: &Client) -> Result<Vec<Arc<Kind>>, kube::Error> {
    let discovery = Discovery::new(client.clone()).run().await?;
    let mut kinds = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if capabilities.supports_operation(verbs::LIST) && capabilities.supports_operation(verbs::DELETE)
            {
                kinds.push(Arc::new(Kind {
                    resource,
                    namespaced: capabilities.scope == Scope::Namespaced,
                }));
            }
        }
    }
    Ok(kinds)
}

/// A watch of the metadata of all objects of each kind that matters; none of them is begun yet.
pub(crate) fn watches(kinds: &[Arc<Kind>]) -> Vec<(Arc<Kind>, Informer<AnyMeta>)> {
    let watched = kinds
        .iter()
        .filter(|kind| !UNWATCHED.contains(&kind.resource.kind.as_str()));
    watched.map(|kind| (kind.clone(), Informer::new())).collect()
}
