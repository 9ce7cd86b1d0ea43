//! EndpointSlices: pods that have the same ports, up to a hundred in one.

use k8s_openapi::api::{
    core::v1::{ObjectReference, Service},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};
use kube::{
    Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta},
};

use super::{Backend, Port, by_ports, labels};
use crate::{
    cluster::{Cluster, writing},
    error::{ReconcileError, gone_is_fine},
    informer::Key,
    owner::controller_reference,
};

pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: (&str, &str) = (
    "endpointslice.kubernetes.io/managed-by",
    "endpointslice-controller.k8s.io",
);

const MOST_ENDPOINTS: usize = 100;

/// Makes the slices of a Service what its pods are.
pub(super) async fn sync(
    cluster: &Cluster,
    service: &Service,
    backends: &[Backend],
) -> Result<(), ReconcileError> {
    let api = cluster.api::<EndpointSlice>(&service.namespace().unwrap_or_default());
    let mut present = present(cluster, &Key::of(service)).await?;
    for wanted in wanted(service, backends) {
        let same_ports = present.iter().position(|slice| slice.ports == wanted.ports);
        let Some(at) = same_ports else {
            api.create(&writing(), &wanted).await?;
            continue;
        };
        let before = present.swap_remove(at);
        let is_same =
            before.endpoints == wanted.endpoints && before.metadata.labels == wanted.metadata.labels;
        if !is_same {
            let mut after = before;
            after.endpoints = wanted.endpoints;
            after.metadata.labels = wanted.metadata.labels;
            api.replace(&after.name_any(), &writing(), &after).await?;
        }
    }
    for slice in present {
        gone_is_fine(api.delete(&slice.name_any(), &DeleteParams::default()).await)?;
    }
    Ok(())
}

/// Deletes the slices of a Service that is gone.
pub(super) async fn delete_all(cluster: &Cluster, service: &Key) -> Result<(), ReconcileError> {
    let api = cluster.api::<EndpointSlice>(&service.namespace);
    for slice in present(cluster, service).await? {
        gone_is_fine(api.delete(&slice.name_any(), &DeleteParams::default()).await)?;
    }
    Ok(())
}

async fn present(cluster: &Cluster, service: &Key) -> Result<Vec<EndpointSlice>, kube::Error> {
    let (key, manager) = MANAGED_BY;
    let own = format!("{SERVICE_LABEL}={},{key}={manager}", service.name);
    let api = cluster.api::<EndpointSlice>(&service.namespace);
    Ok(api.list(&ListParams::default().labels(&own)).await?.items)
}

fn wanted(service: &Service, backends: &[Backend]) -> Vec<EndpointSlice> {
    let mut slices = Vec::new();
    for (ports, backends) in by_ports(backends) {
        for backends in backends.chunks(MOST_ENDPOINTS) {
            slices.push(slice(service, ports, backends));
        }
    }
    if slices.is_empty() {
        // a Service without pods has an empty slice, so that it is seen to be looked after
        slices.push(slice(service, &[], &[]));
    }
    slices
}

fn slice(service: &Service, ports: &[Port], backends: &[&Backend]) -> EndpointSlice {
    let port = |port: &Port| EndpointPort {
        name: Some(port.name.clone()),
        port: Some(port.number),
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    };
    let name = service.name_any();
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: service.namespace(),
            labels: Some(labels(service, &[(SERVICE_LABEL, &name), MANAGED_BY])),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: backends.iter().map(|backend| endpoint(backend)).collect(),
        ports: Some(ports.iter().map(port).collect()).filter(|ports: &Vec<_>| !ports.is_empty()),
    }
}

fn endpoint(backend: &Backend) -> Endpoint {
    Endpoint {
        addresses: vec![backend.address.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(backend.ready),
            serving: Some(backend.serving),
            terminating: Some(backend.terminating),
        }),
        hostname: backend.hostname.clone(),
        node_name: backend.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(reference(backend)),
        ..Endpoint::default()
    }
}

/// The pod behind an address.
pub(super) fn reference(backend: &Backend) -> ObjectReference {
    let meta = backend.pod.meta();
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        ..ObjectReference::default()
    }
}
