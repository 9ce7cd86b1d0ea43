//! The router of Ingresses: HTTP at the node's own address, passed on by host and path.
//!
//! It serves every Ingress, whatever its class, and knows no annotations and no TLS.

mod forward;
mod route;

use std::{io, net::SocketAddr, sync::Arc};

use futures::StreamExt as _;
use http::StatusCode;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressServiceBackend},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, reflector, watcher},
};
use prefect_e2e_sandbox::network::GATEWAY;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::service_proxy::{belongs, ready};

const PORT: u16 = 80;

/// Routes Ingresses for as long as the process lives.
///
/// # Errors
/// When the node's address cannot be listened at.
pub(crate) async fn serve(client: Client) -> io::Result<()> {
    let listener = TcpListener::bind((GATEWAY, PORT)).await?;
    let router = Arc::new(Router::follow(client));
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((connection, peer)) => drop(tokio::spawn(router.clone().answer_all(connection, peer))),
                Err(error) => tracing::warn!(%error, "a connection to the Ingress router is lost"),
            }
        }
    });
    Ok(())
}

/// What requests are routed by.
struct Router {
    ingresses: reflector::Store<Ingress>,
    services: reflector::Store<Service>,
    slices: reflector::Store<EndpointSlice>,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// To one of these, which are ready.
    Endpoints(Vec<SocketAddr>),
    /// Nowhere, for this reason.
    Nowhere(StatusCode),
}

impl Router {
    fn follow(client: Client) -> Self {
        let (ingresses, ingress_writer) = reflector::store::<Ingress>();
        let (services, service_writer) = reflector::store::<Service>();
        let (slices, slice_writer) = reflector::store::<EndpointSlice>();
        let config = watcher::Config::default;
        let changes = watcher(Api::<Ingress>::all(client.clone()), config())
            .default_backoff()
            .reflect(ingress_writer)
            .applied_objects();
        tokio::spawn(announce(client.clone(), changes.boxed()));
        let services_change = watcher(Api::<Service>::all(client.clone()), config())
            .default_backoff()
            .reflect(service_writer);
        let slices_change = watcher(Api::<EndpointSlice>::all(client), config())
            .default_backoff()
            .reflect(slice_writer);
        tokio::spawn(async move { services_change.boxed().for_each(|_| async {}).await });
        tokio::spawn(async move { slices_change.boxed().for_each(|_| async {}).await });
        Self {
            ingresses,
            services,
            slices,
        }
    }

    async fn answer_all(self: Arc<Self>, connection: TcpStream, peer: SocketAddr) {
        let answer = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let host = forward::host_of(&request).to_owned();
            let destination = self.destination(&host, request.uri().path());
            forward::answer(request, host, destination, peer)
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(connection), answer)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the Ingress router ended");
        }
    }

    fn destination(&self, host: &str, path: &str) -> Destination {
        match route::find(&self.ingresses.state(), host, path) {
            Some((namespace, backend)) => match self.endpoints(&namespace, &backend) {
                endpoints if endpoints.is_empty() => Destination::Nowhere(StatusCode::SERVICE_UNAVAILABLE),
                endpoints => Destination::Endpoints(endpoints),
            },
            None => Destination::Nowhere(StatusCode::NOT_FOUND),
        }
    }

    fn endpoints(&self, namespace: &str, backend: &IngressServiceBackend) -> Vec<SocketAddr> {
        let service = self.services.find(|service| {
            service.name_any() == backend.name && service.namespace().as_deref() == Some(namespace)
        });
        let Some(service) = service else { return Vec::new() };
        let wanted = backend.port.clone().unwrap_or_default();
        let mut ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        let port = ports.find(|port| match (&wanted.name, wanted.number) {
            (Some(name), _) => port.name.as_ref() == Some(name),
            (None, number) => number == Some(port.port),
        });
        let Some(port) = port else { return Vec::new() };
        let name = port.name.as_deref().unwrap_or_default();
        let slices = self.slices.state();
        let own = slices.iter().filter(|slice| belongs(slice, &service));
        own.flat_map(|slice| ready(slice, name)).collect()
    }
}

/// Tells in the status of each Ingress where it is served.
async fn announce(
    client: Client,
    mut changes: futures::stream::BoxStream<'static, Result<Ingress, watcher::Error>>,
) {
    let address = json!([{"ip": GATEWAY.to_string(), "ports": [{"port": PORT, "protocol": "TCP"}]}]);
    while let Some(change) = changes.next().await {
        let Ok(ingress) = change else { continue };
        let told = ingress
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        if told.is_some_and(|told| !told.is_empty()) {
            continue;
        }
        let api: Api<Ingress> = Api::namespaced(
            client.clone(),
            ingress.metadata.namespace.as_deref().unwrap_or_default(),
        );
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": address}}}));
        if let Err(error) = api
            .patch_status(&ingress.name_any(), &PatchParams::default(), &patch)
            .await
        {
            tracing::debug!(%error, "an Ingress was gone before its status was told");
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn store<K>(objects: &[Value]) -> reflector::Store<K>
    where
        K: reflector::Lookup + serde::de::DeserializeOwned + Clone + 'static,
        K::DynamicType: Eq + std::hash::Hash + Clone + Default,
    {
        let (store, mut writer) = reflector::store();
        for object in objects {
            let object: K = serde_json::from_value(object.clone()).unwrap();
            writer.apply_watcher_event(&watcher::Event::Apply(object));
        }
        store
    }

    fn router() -> Router {
        let backend = |service: &str, port: Value| json!({"service": {"name": service, "port": port}});
        Router {
            ingresses: store(&[json!({
                "metadata": {"name": "i", "namespace": "n"},
                "spec": {"rules": [{"host": "h", "http": {"paths": [
                    {"path": "/named", "pathType": "Prefix", "backend": backend("web", json!({"name": "http"}))},
                    {"path": "/number", "pathType": "Prefix", "backend": backend("web", json!({"number": 80}))},
                    {"path": "/wrong", "pathType": "Prefix", "backend": backend("web", json!({"number": 8080}))},
                    {"path": "/gone", "pathType": "Prefix", "backend": backend("gone", json!({"number": 80}))},
                ]}}]},
            })]),
            services: store(&[json!({
                "metadata": {"name": "web", "namespace": "n"},
                "spec": {"ports": [{"name": "http", "port": 80}]},
            })]),
            slices: store(&[json!({
                "metadata": {
                    "name": "web-x", "namespace": "n", "labels": {"kubernetes.io/service-name": "web"},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 4200}],
                "endpoints": [{"addresses": ["10.244.0.5"]}],
            })]),
        }
    }

    #[rstest]
    #[case("h", "/named", Ok("10.244.0.5:4200"))]
    #[case("h", "/number/below", Ok("10.244.0.5:4200"))]
    #[case("h", "/wrong", Err(StatusCode::SERVICE_UNAVAILABLE))]
    #[case("h", "/gone", Err(StatusCode::SERVICE_UNAVAILABLE))]
    #[case("h", "/", Err(StatusCode::NOT_FOUND))]
    #[case("other", "/named", Err(StatusCode::NOT_FOUND))]
    fn requests_go_to_ready_endpoints(
        #[case] host: &str,
        #[case] path: &str,
        #[case] expected: Result<&str, StatusCode>,
    ) {
        let expected = match expected {
            Ok(address) => Destination::Endpoints(vec![address.parse().unwrap()]),
            Err(status) => Destination::Nowhere(status),
        };
        assert_eq!(router().destination(host, path), expected);
    }
}
