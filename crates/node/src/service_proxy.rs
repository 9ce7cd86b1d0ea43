//! The addresses of Services: each is listened at, and connections are passed to ready endpoints.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, reflector, watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::dns;

/// The endpoints behind one port of a Service.
type Endpoints = Arc<Vec<SocketAddr>>;

/// A port of a Service that is listened at.
struct Listening {
    endpoints: watch::Sender<Endpoints>,
    task: JoinHandle<()>,
}

/// Follows Services and their endpoints for as long as the node lives.
pub(crate) async fn run(client: Client) {
    let (services, service_writer) = reflector::store::<Service>();
    let (slices, slice_writer) = reflector::store::<EndpointSlice>();
    let service_changes = watcher(Api::<Service>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(service_writer)
        .map(|_| ());
    let slice_changes = watcher(Api::<EndpointSlice>::all(client), watcher::Config::default())
        .default_backoff()
        .reflect(slice_writer)
        .map(|_| ());
    let mut changes = stream::select(Box::pin(service_changes), Box::pin(slice_changes));
    let mut listening: HashMap<SocketAddr, Listening> = HashMap::new();
    while changes.next().await.is_some() {
        let wanted = wanted(&services.state(), &slices.state());
        listening.retain(|address, listener| {
            let stays = wanted.contains_key(address);
            if !stays {
                listener.task.abort();
            }
            stays
        });
        for (address, endpoints) in wanted {
            let listener = listening.entry(address).or_insert_with(|| listen(address));
            listener.endpoints.send_if_modified(|known| {
                let changed = **known != endpoints;
                *known = Arc::new(endpoints);
                changed
            });
        }
    }
}

/// The addresses to listen at, and what is behind each.
fn wanted(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> HashMap<SocketAddr, Vec<SocketAddr>> {
    let mut wanted = HashMap::new();
    for service in services {
        let Some(spec) = &service.spec else { continue };
        let Some(address) = spec
            .cluster_ip
            .as_deref()
            .and_then(|ip| ip.parse::<IpAddr>().ok())
        else {
            continue;
        };
        // DNS listens at its own address itself
        if address == IpAddr::V4(dns::ADDRESS) {
            continue;
        }
        let own: Vec<&Arc<EndpointSlice>> = slices.iter().filter(|slice| belongs(slice, service)).collect();
        for port in spec.ports.iter().flatten() {
            let is_tcp = port.protocol.as_deref().unwrap_or("TCP") == "TCP";
            let Ok(number) = u16::try_from(port.port) else {
                continue;
            };
            if is_tcp {
                let name = port.name.as_deref().unwrap_or_default();
                let endpoints = own.iter().flat_map(|slice| ready(slice, name)).collect();
                wanted.insert(SocketAddr::new(address, number), endpoints);
            }
        }
    }
    wanted
}

/// Whether `slice` has endpoints of `service`.
pub(crate) fn belongs(slice: &EndpointSlice, service: &Service) -> bool {
    slice.namespace() == service.namespace()
        && slice.labels().get("kubernetes.io/service-name") == service.metadata.name.as_ref()
}

/// The endpoints of a slice that are ready, with their number for a port of the Service.
pub(crate) fn ready(slice: &EndpointSlice, port_name: &str) -> Vec<SocketAddr> {
    let mut ports = slice.ports.iter().flatten();
    let port = ports.find(|port| port.name.as_deref().unwrap_or_default() == port_name);
    let Some(port) = port.and_then(|port| u16::try_from(port.port?).ok()) else {
        return Vec::new();
    };
    slice
        .endpoints
        .iter()
        .filter(|endpoint| {
            endpoint
                .conditions
                .as_ref()
                .and_then(|conditions| conditions.ready)
                .unwrap_or(true)
        })
        .filter_map(|endpoint| endpoint.addresses.first()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

fn listen(address: SocketAddr) -> Listening {
    let (endpoints, receiver) = watch::channel(Endpoints::default());
    let task = tokio::spawn(async move {
        loop {
            // without endpoints nothing listens, so that a connection is refused as on a real node
            let mut receiver = receiver.clone();
            if receiver
                .wait_for(|endpoints| !endpoints.is_empty())
                .await
                .is_err()
            {
                return;
            }
            match TcpListener::bind(address).await {
                Ok(listener) => serve(&listener, &mut receiver).await,
                Err(error) => {
                    tracing::warn!(%error, %address, "cannot listen for a Service");
                    if receiver.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Listening { endpoints, task }
}

/// Accepts connections until there are no endpoints left.
async fn serve(listener: &TcpListener, endpoints: &mut watch::Receiver<Endpoints>) {
    let next = AtomicUsize::new(0);
    let current = endpoints.clone();
    loop {
        tokio::select! {
            gone = endpoints.wait_for(|endpoints| endpoints.is_empty()) => {
                drop(gone);
                return;
            }
            accepted = listener.accept() => {
                let Ok((connection, _)) = accepted else { continue };
                let all = current.borrow().clone();
                let start = next.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(connection, all, start));
            }
        }
    }
}

/// Connects to the endpoints in turn, beginning with the one at `start`, and passes data both ways.
async fn pass(mut connection: TcpStream, endpoints: Endpoints, start: usize) {
    for offset in 0..endpoints.len() {
        let endpoint = endpoints[(start + offset) % endpoints.len()];
        if let Ok(mut behind) = TcpStream::connect(endpoint).await {
            let _ = connection.set_nodelay(true);
            let _ = behind.set_nodelay(true);
            // either side may end the connection as it likes
            let _ = tokio::io::copy_bidirectional(&mut connection, &mut behind).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_endpoints_of_the_own_port_are_behind_an_address() {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "n"},
            "spec": {"clusterIP": "10.96.0.20", "selector": {}, "ports": [{"name": "http", "port": 80}]},
        }))
        .unwrap();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "web-x", "namespace": "n", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}, {"name": "other", "port": 9}],
            "endpoints": [
                {"addresses": ["10.244.0.2"], "conditions": {"ready": true}},
                {"addresses": ["10.244.0.3"], "conditions": {"ready": false}},
            ],
        }))
        .unwrap();
        let wanted = wanted(&[Arc::new(service)], &[Arc::new(slice)]);
        let address: SocketAddr = "10.96.0.20:80".parse().unwrap();
        assert_eq!(
            wanted,
            HashMap::from([(address, vec!["10.244.0.2:8080".parse().unwrap()])])
        );
    }
}
