//! Endpoints, the older form: one object a Service, with its name.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ObjectMeta},
};

use super::{Backend, Port, by_ports, labels, slice::reference};
use crate::{
    cluster::{Cluster, writing},
    error::{ReconcileError, gone_is_fine},
    informer::Key,
};

pub(super) const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");

/// Makes the Endpoints of a Service what its pods are.
pub(super) async fn sync(
    cluster: &Cluster,
    service: &Service,
    backends: &[Backend],
) -> Result<(), ReconcileError> {
    let api = cluster.api::<Endpoints>(&service.namespace().unwrap_or_default());
    let name = service.name_any();
    let (wanted, labels) = (subsets(backends), Some(labels(service, &[MANAGED_BY])));
    match api.get_opt(&name).await? {
        None => {
            let endpoints = Endpoints {
                metadata: ObjectMeta {
                    name: Some(name),
                    labels,
                    ..ObjectMeta::default()
                },
                subsets: wanted,
            };
            api.create(&writing(), &endpoints).await?;
        }
        Some(present) if present.subsets != wanted || present.metadata.labels != labels => {
            let mut after = present;
            after.subsets = wanted;
            after.metadata.labels = labels;
            api.replace(&name, &writing(), &after).await?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// Deletes the Endpoints of a Service that is gone.
pub(super) async fn delete(cluster: &Cluster, service: &Key) -> Result<(), ReconcileError> {
    let api = cluster.api::<Endpoints>(&service.namespace);
    let is_ours = |endpoints: &Endpoints| {
        let (key, manager) = MANAGED_BY;
        endpoints.labels().get(key).is_some_and(|by| by == manager)
    };
    if api.get_opt(&service.name).await?.as_ref().is_some_and(is_ours) {
        gone_is_fine(api.delete(&service.name, &DeleteParams::default()).await)?;
    }
    Ok(())
}

fn subsets(backends: &[Backend]) -> Option<Vec<EndpointSubset>> {
    let groups = by_ports(backends).into_iter();
    let subsets: Vec<_> = groups
        .filter_map(|(ports, backends)| subset(ports, &backends))
        .collect();
    (!subsets.is_empty()).then_some(subsets)
}

/// A pod that is ending has no place here unless its Service publishes all.
fn subset(ports: &[Port], backends: &[&Backend]) -> Option<EndpointSubset> {
    let port = |port: &Port| EndpointPort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        port: port.number,
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    };
    let addresses = |ready: bool| {
        let chosen = backends
            .iter()
            .filter(|backend| backend.ready == ready && (ready || !backend.terminating));
        let addresses: Vec<_> = chosen.map(|backend| address(backend)).collect();
        (!addresses.is_empty()).then_some(addresses)
    };
    let (ready, not_ready) = (addresses(true), addresses(false));
    (ready.is_some() || not_ready.is_some()).then(|| EndpointSubset {
        addresses: ready,
        not_ready_addresses: not_ready,
        ports: (!ports.is_empty()).then(|| ports.iter().map(port).collect()),
    })
}

fn address(backend: &Backend) -> EndpointAddress {
    EndpointAddress {
        ip: backend.address.clone(),
        hostname: backend.hostname.clone(),
        node_name: backend.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(reference(backend)),
    }
}
