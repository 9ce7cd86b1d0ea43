//! Endpoints of Services: which pods are behind each, in EndpointSlices and in the older Endpoints.
//!
//! Source of the rules: `k8s.io/endpointslice` and `k8s.io/kubernetes/pkg/controller/endpoint`, 1.34.

mod legacy;
mod mirror;
mod slice;

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Pod, Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{
    Resource, ResourceExt as _,
    core::{Selector, SelectorExt as _},
};

use crate::{
    cluster::Cluster,
    error::ReconcileError,
    informer::{Informer, Key},
    owner::is_deleting,
    pod,
    queue::{Next, Queue, Reconciler},
};

const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

pub(crate) struct ServiceEndpoints {
    pub(crate) cluster: Cluster,
    pub(crate) pods: Informer<Pod>,
}

impl Reconciler for ServiceEndpoints {
    type Key = Key;
    const NAME: &'static str = "endpoint-controller";

    async fn reconcile(&self, key: &Key) -> Result<Next, ReconcileError> {
        let service = self
            .cluster
            .api::<Service>(&key.namespace)
            .get_opt(&key.name)
            .await?;
        let service = service.filter(|service| !is_deleting(service));
        let selector = service.as_ref().and_then(selector);
        mirror::sync(
            &self.cluster,
            key,
            service.as_ref().filter(|_| selector.is_none()),
        )
        .await?;
        let Some(service) = service else {
            slice::replace(&self.cluster, key, slice::MANAGED_BY, Vec::new()).await?;
            legacy::delete(&self.cluster, key).await?;
            return Ok(None);
        };
        let Some(selector) = selector else { return Ok(None) };
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| selector.matches(pod.labels()));
        let backends: Vec<Backend> = pods
            .iter()
            .filter_map(|pod| Backend::new(&service, pod))
            .collect();
        slice::sync(&self.cluster, &service, &backends).await?;
        legacy::sync(&self.cluster, &service, &backends).await?;
        Ok(None)
    }
}

/// Looks at the Services that select a pod, or did, at each of its changes.
pub(crate) fn look_at_selecting(services: &Informer<Service>, pods: &Informer<Pod>, queue: &Queue<Key>) {
    let (services, queue) = (services.clone(), queue.clone());
    pods.listen(move |change| {
        for pod in change.states() {
            for service in services.in_namespace(&pod.namespace().unwrap_or_default()) {
                if selector(&service).is_some_and(|selector| selector.matches(pod.labels())) {
                    queue.add(Key::of(&*service));
                }
            }
        }
    });
}

/// Looks at the Service of endpoints that changed: kept here, or to be mirrored.
pub(crate) fn look_at_service_of<K>(informer: &Informer<K>, queue: &Queue<Key>)
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let queue = queue.clone();
    informer.listen(move |change| {
        for object in change.states() {
            let name = object.labels().get(slice::SERVICE_LABEL).cloned();
            let name = name.unwrap_or_else(|| object.name_any());
            queue.add(Key::new(&object.namespace().unwrap_or_default(), &name));
        }
    });
}

/// What the Service selects; `None` when somebody else keeps its endpoints, or it has none.
fn selector(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    let labels = spec.selector.clone().filter(|labels| !labels.is_empty())?;
    (spec.type_.as_deref() != Some("ExternalName")).then(|| labels.into_iter().collect())
}

/// A pod behind a Service.
struct Backend {
    pod: Arc<Pod>,
    address: String,
    ports: Vec<Port>,
    ready: bool,
    serving: bool,
    terminating: bool,
    hostname: Option<String>,
}

/// A port of a Service as a pod has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    name: String,
    number: i32,
    protocol: String,
    app_protocol: Option<String>,
}

impl Backend {
    /// `None` while the pod has no address, and when it has ended.
    fn new(service: &Service, pod: &Arc<Pod>) -> Option<Self> {
        let address = pod
            .status
            .as_ref()?
            .pod_ip
            .clone()
            .filter(|address| !address.is_empty())?;
        if pod::has_ended(pod) {
            return None;
        }
        let service_spec = service.spec.clone().unwrap_or_default();
        let publishes_all = service_spec.publish_not_ready_addresses == Some(true);
        let (serving, terminating) = (pod::is_ready(pod), is_deleting(&**pod));
        let pod_spec = pod.spec.clone().unwrap_or_default();
        let is_named = pod_spec.subdomain == service.metadata.name;
        Some(Self {
            pod: pod.clone(),
            address,
            ports: ports(&service_spec, pod),
            ready: publishes_all || (serving && !terminating),
            serving,
            terminating,
            hostname: pod_spec.hostname.filter(|_| is_named),
        })
    }
}

fn ports(service: &ServiceSpec, pod: &Pod) -> Vec<Port> {
    let found = service.ports.iter().flatten().filter_map(|port| {
        Some(Port {
            name: port.name.clone().unwrap_or_default(),
            number: number(port, pod)?,
            protocol: protocol(port.protocol.as_deref()).to_owned(),
            app_protocol: port.app_protocol.clone(),
        })
    });
    let mut ports: Vec<Port> = found.collect();
    ports.sort();
    ports
}

fn protocol(protocol: Option<&str>) -> &str {
    protocol.unwrap_or("TCP")
}

/// The number of a Service's port in the pod; `None` when the pod has no port of the name.
fn number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let mut ports = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten());
    let found = ports.find(|candidate| {
        candidate.name.as_ref() == Some(name)
            && protocol(candidate.protocol.as_deref()) == protocol(port.protocol.as_deref())
    });
    found.map(|port| port.container_port)
}

fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The labels of a Service's endpoints: its own and `more`.
fn labels(service: &Service, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut labels = service.labels().clone();
    let headless = is_headless(service).then_some((HEADLESS_LABEL, ""));
    for (key, value) in more.iter().copied().chain(headless) {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// The pods by the ports that they have.
fn by_ports(backends: &[Backend]) -> BTreeMap<&[Port], Vec<&Backend>> {
    let mut groups: BTreeMap<&[Port], Vec<&Backend>> = BTreeMap::new();
    for backend in backends {
        groups.entry(&backend.ports).or_default().push(backend);
    }
    groups
}

#[cfg(test)]
mod tests;
