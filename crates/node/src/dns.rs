//! The cluster's DNS: Services and pods by name, nothing else.
//!
//! Source of the records: "Kubernetes DNS-Based Service Discovery", version 1.1.0.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt as _;
use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Metadata, ResponseCode},
        rr::{
            LowerName, Name, RData, Record, RecordType,
            rdata::{A, SRV},
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, reflector, watcher},
};
use tokio::net::{TcpListener, UdpSocket};

/// Where pods ask.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

const PORT: u16 = 53;
const TTL_SECONDS: u32 = 5;

/// Serves the cluster's DNS for as long as the process lives.
///
/// # Errors
/// When its address cannot be listened at.
pub(crate) async fn serve(client: Client) -> io::Result<()> {
    let (services, service_writer) = reflector::store();
    let (slices, slice_writer) = reflector::store();
    let service_changes = watcher(Api::<Service>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(service_writer);
    let slice_changes = watcher(Api::<EndpointSlice>::all(client), watcher::Config::default())
        .default_backoff()
        .reflect(slice_writer);
    tokio::spawn(async move { Box::pin(service_changes).for_each(|_| async {}).await });
    tokio::spawn(async move { Box::pin(slice_changes).for_each(|_| async {}).await });

    let mut server = Server::new(Directory { services, slices });
    server.register_socket(UdpSocket::bind((ADDRESS, PORT)).await?);
    server.register_listener(
        TcpListener::bind((ADDRESS, PORT)).await?,
        Duration::from_secs(10),
        64,
    );
    tokio::spawn(async move {
        if let Err(error) = server.block_until_done().await {
            tracing::error!(%error, "the cluster's DNS ended");
        }
    });
    Ok(())
}

/// What the names of the cluster lead to.
struct Directory {
    services: reflector::Store<Service>,
    slices: reflector::Store<EndpointSlice>,
}

/// The answer to a question.
#[derive(Debug, PartialEq)]
enum Answer {
    Records(Vec<Record>),
    /// There is no such name.
    Unknown,
    /// The name is outside the cluster, and there is no network to ask.
    Elsewhere,
}

#[async_trait::async_trait]
impl RequestHandler for Directory {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let builder = MessageResponseBuilder::from_message_request(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let answer = match request.request_info() {
            Ok(info) => self.answer(info.query.name(), info.query.query_type()),
            Err(_) => Answer::Unknown,
        };
        metadata.authoritative = true;
        metadata.recursion_available = true;
        let records = match answer {
            Answer::Records(records) => records,
            Answer::Unknown => {
                metadata.response_code = ResponseCode::NXDomain;
                Vec::new()
            }
            Answer::Elsewhere => {
                metadata.response_code = ResponseCode::NXDomain;
                Vec::new()
            }
        };
        let message = builder.build(metadata, records.iter(), [], [], []);
        match response.send_response(message).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "a DNS answer was not sent");
                ResponseInfo::from(hickory_server::proto::op::Header {
                    metadata,
                    counts: hickory_server::proto::op::HeaderCounts::default(),
                })
            }
        }
    }
}

impl Directory {
    fn answer(&self, name: &LowerName, kind: RecordType) -> Answer {
        let text = name.to_string();
        let Some(inside) = text.trim_end_matches('.').strip_suffix(".cluster.local") else {
            return Answer::Elsewhere;
        };
        let labels: Vec<&str> = inside.split('.').collect();
        let addresses = match labels.as_slice() {
            [.., namespace, "svc"] if labels.len() == 3 => self.service(labels[0], namespace),
            [port, protocol, service, namespace, "svc"] if port.starts_with('_') => {
                return self.ports(name, port, protocol, service, namespace, kind);
            }
            [host, service, namespace, "svc"] => self.host(host, service, namespace),
            [address, _, "pod"] => address
                .replace('-', ".")
                .parse()
                .ok()
                .map(|address| vec![address]),
            _ => None,
        };
        let Some(addresses) = addresses else {
            return Answer::Unknown;
        };
        let own: Name = name.into();
        let record = |address: Ipv4Addr| Record::from_rdata(own.clone(), TTL_SECONDS, RData::A(A(address)));
        match kind {
            RecordType::A | RecordType::ANY => Answer::Records(addresses.into_iter().map(record).collect()),
            // the name exists, but has nothing of this kind
            _ => Answer::Records(Vec::new()),
        }
    }

    fn find(&self, name: &str, namespace: &str) -> Option<Arc<Service>> {
        self.services
            .find(|service| service.name_any() == name && service.namespace().as_deref() == Some(namespace))
    }

    fn slices_of(&self, service: &str, namespace: &str) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.slices.state();
        slices.retain(|slice| {
            slice.namespace().as_deref() == Some(namespace)
                && slice
                    .labels()
                    .get("kubernetes.io/service-name")
                    .map(String::as_str)
                    == Some(service)
        });
        slices
    }

    /// The address of a Service, or those of its ready pods when it has none.
    fn service(&self, name: &str, namespace: &str) -> Option<Vec<Ipv4Addr>> {
        let service = self.find(name, namespace)?;
        let address = service.spec.as_ref()?.cluster_ip.clone().unwrap_or_default();
        if let Ok(address) = address.parse() {
            return Some(vec![address]);
        }
        let slices = self.slices_of(name, namespace);
        Some(
            slices
                .iter()
                .flat_map(|slice| ready_addresses(slice, None))
                .collect(),
        )
    }

    /// The addresses of one pod of a headless Service.
    fn host(&self, host: &str, service: &str, namespace: &str) -> Option<Vec<Ipv4Addr>> {
        self.find(service, namespace)?;
        let slices = self.slices_of(service, namespace);
        let found: Vec<_> = slices
            .iter()
            .flat_map(|slice| ready_addresses(slice, Some(host)))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// The `SRV` records of a named port.
    fn ports(
        &self,
        name: &LowerName,
        port: &str,
        protocol: &str,
        service: &str,
        namespace: &str,
        kind: RecordType,
    ) -> Answer {
        let found = self.find(service, namespace);
        let ports = found
            .as_ref()
            .and_then(|found| found.spec.as_ref()?.ports.clone())
            .unwrap_or_default();
        let port = ports.into_iter().find(|one| {
            let own = one.protocol.as_deref().unwrap_or("TCP").to_lowercase();
            one.name.as_deref() == port.strip_prefix('_') && protocol.strip_prefix('_') == Some(own.as_str())
        });
        let Some(number) = port.and_then(|port| u16::try_from(port.port).ok()) else {
            return Answer::Unknown;
        };
        let Ok(target) = Name::from_ascii(format!("{service}.{namespace}.svc.cluster.local.")) else {
            return Answer::Unknown;
        };
        if !matches!(kind, RecordType::SRV | RecordType::ANY) {
            return Answer::Records(Vec::new());
        }
        let data = RData::SRV(SRV::new(0, 100, number, target));
        Answer::Records(vec![Record::from_rdata(name.into(), TTL_SECONDS, data)])
    }
}

fn ready_addresses(slice: &EndpointSlice, host: Option<&str>) -> Vec<Ipv4Addr> {
    let ready = slice.endpoints.iter().filter(|endpoint| {
        let is_ready = endpoint
            .conditions
            .as_ref()
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true);
        is_ready && host.is_none_or(|host| endpoint.hostname.as_deref() == Some(host))
    });
    ready
        .filter_map(|endpoint| match endpoint.addresses.first()?.parse().ok()? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn directory() -> Directory {
        let (services, mut service_writer) = reflector::store();
        let (slices, mut slice_writer) = reflector::store();
        for service in [
            json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {
                "clusterIP": "10.96.0.20", "ports": [{"name": "http", "port": 80}]}}),
            json!({"metadata": {"name": "db", "namespace": "n"}, "spec": {"clusterIP": "None"}}),
        ] {
            service_writer
                .apply_watcher_event(&watcher::Event::Apply(serde_json::from_value(service).unwrap()));
        }
        let slice = json!({
            "metadata": {"name": "db-x", "namespace": "n", "labels": {"kubernetes.io/service-name": "db"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.0.5"], "hostname": "db-0"}],
        });
        slice_writer.apply_watcher_event(&watcher::Event::Apply(serde_json::from_value(slice).unwrap()));
        Directory { services, slices }
    }

    #[rstest]
    #[case("web.n.svc.cluster.local.", &["10.96.0.20"])]
    #[case("db.n.svc.cluster.local.", &["10.244.0.5"])]
    #[case("db-0.db.n.svc.cluster.local.", &["10.244.0.5"])]
    #[case("10-244-0-9.n.pod.cluster.local.", &["10.244.0.9"])]
    fn names_lead_to_addresses(#[case] name: &str, #[case] expected: &[&str]) {
        let name = LowerName::from(Name::from_ascii(name).unwrap());
        let Answer::Records(records) = directory().answer(&name, RecordType::A) else {
            panic!("no records")
        };
        let found: Vec<String> = records.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case("none.n.svc.cluster.local.", Answer::Unknown)]
    #[case("web.other.svc.cluster.local.", Answer::Unknown)]
    #[case("db-1.db.n.svc.cluster.local.", Answer::Unknown)]
    #[case("example.com.", Answer::Elsewhere)]
    #[case("web.n.svc.cluster.local.example.com.", Answer::Elsewhere)]
    fn other_names_do_not(#[case] name: &str, #[case] expected: Answer) {
        let name = LowerName::from(Name::from_ascii(name).unwrap());
        assert_eq!(directory().answer(&name, RecordType::A), expected);
    }

    #[test]
    fn ports_are_found_by_name() {
        let name = LowerName::from(Name::from_ascii("_http._tcp.web.n.svc.cluster.local.").unwrap());
        let Answer::Records(records) = directory().answer(&name, RecordType::SRV) else {
            panic!("no records")
        };
        assert_eq!(records[0].data.to_string(), "0 100 80 web.n.svc.cluster.local.");
    }
}
