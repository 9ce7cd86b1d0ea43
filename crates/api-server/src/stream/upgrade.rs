//! From an HTTP request to a connection in both directions: WebSocket or SPDY.

use std::future::Future;

use axum::{
    extract::{
        FromRequestParts as _, Request,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::{
    kubelet::Duplex,
    status::{ApiError, ApiResult},
};

/// The largest piece that is passed on at once.
const PIECE: usize = 32 * 1024;

/// Answers a WebSocket request that offers one of `protocols`, and runs `serve` on the socket.
///
/// # Errors
/// 400 when the request is no WebSocket upgrade.
pub(crate) async fn web_socket<F, S>(
    request: Request,
    protocols: &'static [&'static str],
    serve: S,
) -> ApiResult<Response>
where
    S: FnOnce(WebSocket, Option<String>) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|error| ApiError::bad_request(format!("unable to upgrade: {error}")))?;
    let answer = upgrade.protocols(protocols.iter().copied()).on_upgrade(|socket| {
        let protocol = socket
            .protocol()
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        serve(socket, protocol)
    });
    Ok(answer)
}

/// The last message of a socket whose work is done.
pub(crate) fn normal_end() -> Message {
    Message::Close(Some(CloseFrame {
        code: close_code::NORMAL,
        reason: Utf8Bytes::default(),
    }))
}

/// Whether the request offers the WebSocket subprotocol `protocol`.
pub(crate) fn offers(request: &Request, protocol: &str) -> bool {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|one| one.trim() == protocol)
}

/// Whether the request asks for SPDY itself, as clients before WebSocket do.
pub(crate) fn is_spdy(request: &Request) -> bool {
    request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"SPDY/3.1"))
}

/// Switches to SPDY, and runs `serve` on the connection.
pub(crate) fn spdy<F, S>(mut request: Request, protocol: &'static str, serve: S) -> Response
where
    S: FnOnce(Box<dyn Duplex>) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => serve(Box::new(TokioIo::new(connection))).await,
            Err(error) => tracing::debug!(%error, "a client did not complete its upgrade"),
        }
    });
    let mut answer = Response::default();
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert("x-stream-protocol-version", HeaderValue::from_static(protocol));
    answer
}

/// A WebSocket as a stream of bytes: each binary message is a piece of it.
pub(crate) fn tunnel(socket: WebSocket) -> DuplexStream {
    let (near, far) = tokio::io::duplex(2 * PIECE);
    let (mut sink, mut messages) = socket.split();
    let (mut from_server, mut to_server) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            let Message::Binary(bytes) = message else { continue };
            if to_server.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // the end of either direction is the end of the tunnel
        let _ = to_server.shutdown().await;
    });
    tokio::spawn(async move {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from_server.read(&mut piece).await {
            let bytes = Bytes::copy_from_slice(&piece[..length]);
            if sink.send(Message::Binary(bytes)).await.is_err() {
                break;
            }
        }
        let _ = sink.send(normal_end()).await;
    });
    near
}
