//! Mirrors Endpoints that somebody wrote for a Service without a selector into EndpointSlices, which
//! are what the proxy and DNS look at.
//!
//! Source of the rules: "EndpointSlices", mirroring, of the Kubernetes documentation.

use std::net::IpAddr;

use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};
use kube::{ResourceExt as _, api::ObjectMeta};

use super::slice::{self, SERVICE_LABEL};
use crate::{cluster::Cluster, error::ReconcileError, informer::Key, owner::controller_reference};

const MANAGED_BY: (&str, &str) = (
    "endpointslice.kubernetes.io/managed-by",
    "endpointslicemirroring-controller.k8s.io",
);

const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";

/// Makes the mirror of the Endpoints of a Service, or takes it away when `service` is none of those
/// that are mirrored.
pub(super) async fn sync(
    cluster: &Cluster,
    key: &Key,
    service: Option<&Service>,
) -> Result<(), ReconcileError> {
    let is_mirrored = |service: &Service| {
        service
            .spec
            .as_ref()
            .is_some_and(|spec| spec.type_.as_deref() != Some("ExternalName"))
    };
    let endpoints = match service.filter(|service| is_mirrored(service)) {
        Some(_) => {
            cluster
                .api::<Endpoints>(&key.namespace)
                .get_opt(&key.name)
                .await?
        }
        None => None,
    };
    let endpoints =
        endpoints.filter(|endpoints| endpoints.labels().get(SKIP).is_none_or(|skip| skip != "true"));
    let wanted = endpoints.map(|endpoints| slices(&endpoints)).unwrap_or_default();
    slice::replace(cluster, key, MANAGED_BY, wanted).await
}

fn slices(endpoints: &Endpoints) -> Vec<EndpointSlice> {
    let mut slices = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        for (family, is_of_family) in [
            ("IPv4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool),
            ("IPv6", IpAddr::is_ipv6),
        ] {
            let is_here = |address: &&EndpointAddress| address.ip.parse().is_ok_and(|ip| is_of_family(&ip));
            let ready = subset
                .addresses
                .iter()
                .flatten()
                .filter(is_here)
                .map(|address| endpoint(address, true));
            let others = subset.not_ready_addresses.iter().flatten().filter(is_here);
            let all: Vec<Endpoint> = ready
                .chain(others.map(|address| endpoint(address, false)))
                .collect();
            if !all.is_empty() {
                slices.push(slice(endpoints, subset, family, all));
            }
        }
    }
    slices
}

fn slice(endpoints: &Endpoints, subset: &EndpointSubset, family: &str, all: Vec<Endpoint>) -> EndpointSlice {
    let name = endpoints.name_any();
    let mut labels = endpoints.labels().clone();
    for (key, value) in [(SERVICE_LABEL, name.as_str()), MANAGED_BY] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let ports = subset.ports.iter().flatten().map(|port| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: port.protocol.clone().or_else(|| Some("TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    });
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: endpoints.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(endpoints)]),
            ..ObjectMeta::default()
        },
        address_type: family.to_owned(),
        endpoints: all,
        ports: Some(ports.collect()).filter(|ports: &Vec<_>| !ports.is_empty()),
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            ..EndpointConditions::default()
        }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}
