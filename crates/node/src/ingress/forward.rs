//! Passes a request on to an endpoint, and a connection that is upgraded with it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{self, HOST},
};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Destination, PORT};

type Body = BoxBody<Bytes, hyper::Error>;

/// Headers that are about one connection. An upgrade keeps its own.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// The host that a request is for, without its port.
pub(super) fn host_of<B>(request: &Request<B>) -> &str {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().host().or(header).unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Answers with what an endpoint answers, or says why there is none.
pub(super) async fn answer(
    request: Request<Incoming>,
    host: String,
    destination: Destination,
    peer: SocketAddr,
) -> Result<Response<Body>, Infallible> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let endpoints = match destination {
        Destination::Endpoints(endpoints) => endpoints,
        Destination::Nowhere(status) => return Ok(plain(status)),
    };
    let start = NEXT.fetch_add(1, Ordering::Relaxed);
    let endpoint = endpoints[start % endpoints.len()];
    Ok(pass(request, &host, endpoint, peer)
        .await
        .unwrap_or_else(|error| {
            tracing::debug!(%error, %endpoint, host, "an endpoint of an Ingress does not answer");
            plain(StatusCode::BAD_GATEWAY)
        }))
}

/// A page of the router's own.
fn plain(status: StatusCode) -> Response<Body> {
    let text = format!(
        "{} {}\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    );
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

async fn pass(
    mut request: Request<Incoming>,
    host: &str,
    endpoint: SocketAddr,
    peer: SocketAddr,
) -> Result<Response<Body>, ForwardError> {
    let connection = TcpStream::connect(endpoint)
        .await
        .map_err(ForwardError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    tokio::spawn(connection.with_upgrades());
    let upgrade = request.headers().get(header::UPGRADE).cloned();
    strip(request.headers_mut(), upgrade.as_ref());
    tell_origin(request.headers_mut(), host, peer);
    let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    *request.uri_mut() = origin_form(request.uri());
    let mut response = sender.send_request(request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client_side) = client_side
    {
        let endpoint_side = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(client), Ok(endpoint)) = tokio::join!(client_side, endpoint_side) {
                // either side may end the connection as it likes
                let (mut client, mut endpoint) = (TokioIo::new(client), TokioIo::new(endpoint));
                let _ = tokio::io::copy_bidirectional(&mut client, &mut endpoint).await;
            }
        });
    } else {
        strip(response.headers_mut(), None);
    }
    Ok(response.map(|body| body.boxed()))
}

fn strip(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade.clone());
    }
}

/// Tells the endpoint who asked for what, in the headers that other routers send.
fn tell_origin(headers: &mut HeaderMap, host: &str, peer: SocketAddr) {
    let client = peer.ip().to_string();
    let chain = match headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok())
    {
        Some(before) => format!("{before}, {client}"),
        None => client.clone(),
    };
    let port = PORT.to_string();
    let told = [
        ("x-forwarded-for", chain.as_str()),
        ("x-forwarded-host", host),
        ("x-forwarded-port", &port),
        ("x-forwarded-proto", "http"),
        ("x-real-ip", &client),
    ];
    for (name, value) in told {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
}

/// The path and query alone, as servers expect them.
fn origin_form(uri: &http::Uri) -> http::Uri {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    path.parse().unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/x", "web.test", "web.test")]
    #[case("/x", "web.test:80", "web.test")]
    #[case("http://other.test/x", "web.test", "other.test")]
    fn the_host_is_read_without_its_port(#[case] uri: &str, #[case] header: &str, #[case] expected: &str) {
        let request = Request::get(uri).header(HOST, header).body(()).unwrap();
        assert_eq!(host_of(&request), expected);
    }

    #[test]
    fn only_an_upgrade_keeps_what_is_about_the_connection() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONNECTION,
            HeaderValue::from_static("keep-alive, Upgrade"),
        );
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        strip(&mut headers, Some(&HeaderValue::from_static("websocket")));
        assert_eq!(headers[header::CONNECTION], "upgrade");
        strip(&mut headers, None);
        assert!(headers.is_empty());
    }
}
