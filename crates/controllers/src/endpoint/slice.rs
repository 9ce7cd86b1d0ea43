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
    replace(cluster, &Key::of(service), MANAGED_BY, wanted(service, backends)).await
}

/// Makes the slices of a Service that a controller keeps those that are wanted.
pub(super) async fn replace(
    cluster: &Cluster,
    service: &Key,
    managed_by: (&str, &str),
    wanted: Vec<EndpointSlice>,
) -> Result<(), ReconcileError> {
    let api = cluster.api::<EndpointSlice>(&service.namespace);
    let own = format!(
        "{SERVICE_LABEL}={},{}={}",
        service.name, managed_by.0, managed_by.1
    );
    let mut present = api.list(&ListParams::default().labels(&own)).await?.items;
    for wanted in wanted {
        let is_alike =
            |slice: &EndpointSlice| slice.ports == wanted.ports && slice.address_type == wanted.address_type;
        let Some(at) = present.iter().position(is_alike) else {
            api.create(&writing(), &wanted).await?;
            continue;
        };
        let before = present.swap_remove(at);
        if before.endpoints != wanted.endpoints || before.metadata.labels != wanted.metadata.labels {
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
