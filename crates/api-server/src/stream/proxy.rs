//! `services/proxy` and `pods/proxy`: HTTP to what runs in the cluster, through the API server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    meta,
    path::ResourcePath,
    registry::named,
    server::Shared,
    status::{ApiError, ApiResult},
    store::Object,
};

/// Headers that are about one connection, and the credential, which is the API server's alone.
const NOT_FORWARDED: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::AUTHORIZATION,
    header::TE,
    header::TRAILER,
];

/// Forwards the request to the pod or to a ready pod of the Service.
pub(crate) async fn respond(
    state: &Arc<Shared>,
    path: &ResourcePath,
    request: Request,
) -> ApiResult<Response> {
    let target = Target::parse(path.name.as_deref().unwrap_or_default())?;
    let address = match path.kind.kind {
        "Service" => service_endpoint(state, &path.namespace, &target)?,
        "Pod" => pod_address(state, &path.namespace, &target)?,
        _ => return Err(ApiError::no_such_path()),
    };
    let unreachable = |error: &dyn std::fmt::Display| {
        ApiError::unavailable(format!("error trying to reach service: {error}"))
    };
    let connection = TcpStream::connect(address).await.map_err(|error| {
        unreachable(&format!(
            "dial tcp {address}: connect: {}",
            lowercase_cause(&error)
        ))
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
        .await
        .map_err(|error| unreachable(&error))?;
    tokio::spawn(connection);
    let prefix = proxy_prefix(request.uri().path());
    let outgoing = outgoing(path, address, request)?;
    let answer = sender
        .send_request(outgoing)
        .await
        .map_err(|error| unreachable(&error))?;
    let (mut parts, body) = answer.into_parts();
    strip(&mut parts.headers);
    rewrite_location(&mut parts.headers, &prefix);
    Ok(Response::from_parts(parts, Body::new(body)).into_response())
}

/// Who is meant by `[SCHEME:]NAME[:PORT]`.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    name: String,
    port: Option<String>,
}

impl Target {
    fn parse(text: &str) -> ApiResult<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (name, port) = match parts.as_slice() {
            [name] => (name, ""),
            [name, port] => (name, *port),
            ["" | "http", name, port] => (name, *port),
            [scheme, _, _] => {
                return Err(ApiError::bad_request(format!(
                    "scheme {scheme:?} is not supported: allowed is http"
                )));
            }
            _ => return Err(ApiError::bad_request(format!("invalid proxy request {text:?}"))),
        };
        Ok(Self {
            name: (*name).to_owned(),
            port: Some(port.to_owned()).filter(|port| !port.is_empty()),
        })
    }
}

fn service_endpoint(state: &Shared, namespace: &str, target: &Target) -> ApiResult<SocketAddr> {
    let services = named("Service");
    let service = state.resources.store.get(services, namespace, &target.name)?;
    let none = || ApiError::unavailable(format!("no endpoints available for service {:?}", target.name));
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let port = match &target.port {
        None if ports.len() == 1 => &ports[0],
        // a port that is not named is the one without a name
        None => ports
            .iter()
            .find(|port| port["name"].is_null())
            .ok_or_else(none)?,
        Some(wanted) => ports
            .iter()
            .find(|port| port["name"] == wanted.as_str() || port["port"].as_u64() == wanted.parse().ok())
            .ok_or_else(|| {
                ApiError::unavailable(format!(
                    "no service port {wanted:?} found for service {:?}",
                    target.name
                ))
            })?,
    };
    let (slices, _) = state.resources.store.list(named("EndpointSlice"), namespace);
    let own = slices
        .iter()
        .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == target.name.as_str());
    own.flat_map(|slice| ready_addresses(slice, &port["name"]))
        .next()
        .ok_or_else(none)
}

fn ready_addresses(slice: &Object, port_name: &Value) -> Vec<SocketAddr> {
    let wanted = port_name.as_str().unwrap_or_default();
    let mut ports = slice["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["name"].as_str().unwrap_or_default() == wanted);
    let Some(port) = port
        .and_then(|port| port["port"].as_u64())
        .and_then(|port| u16::try_from(port).ok())
    else {
        return Vec::new();
    };
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints
        .filter(|endpoint| endpoint["conditions"]["ready"] != false)
        .filter_map(|endpoint| endpoint["addresses"][0].as_str()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

fn pod_address(state: &Shared, namespace: &str, target: &Target) -> ApiResult<SocketAddr> {
    let pod = state.resources.store.get(named("Pod"), namespace, &target.name)?;
    let port = match &target.port {
        Some(port) => port.parse().ok(),
        None => pod["spec"]["containers"][0]["ports"][0]["containerPort"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok()),
    };
    let address = meta::text(&pod, "/status/podIP").parse::<IpAddr>();
    match (address, port) {
        (Ok(address), Some(port)) => Ok(SocketAddr::new(address, port)),
        (Err(_), _) => Err(ApiError::unavailable(
            "address not allowed: the pod has no address yet",
        )),
        (_, None) => Err(ApiError::bad_request("the pod names no port; ask for NAME:PORT")),
    }
}

/// The words of Go's `net` for what the kernel said, which users of `kubectl` know.
fn lowercase_cause(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::HostUnreachable => "no route to host".into(),
        ErrorKind::NetworkUnreachable => "network is unreachable".into(),
        ErrorKind::TimedOut => "connection timed out".into(),
        _ => error.to_string(),
    }
}

fn outgoing(path: &ResourcePath, address: SocketAddr, request: Request) -> ApiResult<Request<Body>> {
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let uri: Uri = format!("/{}{query}", path.rest)
        .parse()
        .map_err(|error| ApiError::bad_request(format!("cannot forward this path: {error}")))?;
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    strip(&mut parts.headers);
    if let Ok(host) = HeaderValue::from_str(&address.to_string()) {
        parts.headers.insert(header::HOST, host);
    }
    Ok(Request::from_parts(parts, body))
}

fn strip(headers: &mut HeaderMap) {
    for name in NOT_FORWARDED {
        headers.remove(name);
    }
}

/// The path of the proxy itself, to which relative places of the answer are relative.
fn proxy_prefix(path: &str) -> String {
    path.find("/proxy")
        .map_or_else(String::new, |place| path[..place + "/proxy".len()].to_owned())
}

/// A redirect to a path of the server behind leads back through the proxy.
fn rewrite_location(headers: &mut HeaderMap, prefix: &str) {
    let Some(place) = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    if place.starts_with('/')
        && let Ok(value) = HeaderValue::from_str(&format!("{prefix}{place}"))
    {
        headers.insert(header::LOCATION, value);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web", "web", None)]
    #[case("web:80", "web", Some("80"))]
    #[case("http:web:80", "web", Some("80"))]
    #[case("http:web:", "web", None)]
    fn targets_are_read(#[case] text: &str, #[case] name: &str, #[case] port: Option<&str>) {
        let expected = Target {
            name: name.into(),
            port: port.map(str::to_owned),
        };
        assert_eq!(Target::parse(text).unwrap(), expected);
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!(Target::parse("ftp:web:80").is_err());
    }
}
