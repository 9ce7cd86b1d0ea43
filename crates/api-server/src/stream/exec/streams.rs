//! The streams of a command as streams of SPDY, which clients before WebSocket speak.
//!
//! Source of the protocol: `k8s.io/kubelet/pkg/cri/streaming/remotecommand` (v4).

use std::{collections::HashMap, time::Duration};

use axum::{extract::Request, response::Response};
use tokio::sync::{mpsc, oneshot};

use super::{Client, Sink, connect, spdy, upgrade};
use crate::{
    kubelet::{Duplex, ExecOptions, ExecSession},
    status::{ApiError, ApiResult},
};

const PROTOCOL: &str = "v4.channel.k8s.io";
const OFFERED: &str = "x-stream-protocol-version";

/// How long a client may take to open its streams, as upstream.
const PATIENCE: Duration = Duration::from_secs(30);

/// Refuses a client that speaks none of the protocols that tell exit codes.
pub(super) fn check(request: &Request) -> ApiResult<()> {
    let offered: Vec<&str> = request
        .headers()
        .get_all(OFFERED)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    if offered.contains(&PROTOCOL) {
        return Ok(());
    }
    let why = format!("unable to upgrade: stream protocols {offered:?} are offered, {PROTOCOL} is served");
    Err(ApiError::bad_request(why))
}

pub(super) fn respond(request: Request, session: ExecSession, options: ExecOptions) -> Response {
    upgrade::spdy(request, PROTOCOL, |connection| {
        serve(connection, session, options)
    })
}

async fn serve(connection: impl Duplex + 'static, session: ExecSession, options: ExecOptions) {
    let mut incoming = spdy::serve(connection);
    let opened = tokio::time::timeout(PATIENCE, open_all(&mut incoming, &options)).await;
    let Ok(Some(mut streams)) = opened else {
        tracing::debug!("a client did not open its streams");
        return;
    };
    let (alive, gone) = oneshot::channel();
    let watch = tokio::spawn(async move {
        while incoming.recv().await.is_some() {}
        drop(alive);
    });
    let sink = |name: &str| match streams.get(name) {
        Some(stream) => Sink::Stream(stream.output.clone()),
        None => Sink::Nowhere,
    };
    let (stdout, stderr, status) = (sink("stdout"), sink("stderr"), sink("error"));
    let client = Client {
        stdin: streams.remove("stdin").map(|stream| stream.input),
        sizes: streams.remove("resize").map(|stream| stream.input),
        stdout,
        stderr,
        status,
        gone,
    };
    connect(session, client).await;
    // the client reads to the end of each stream and then closes the connection
    let _ = tokio::time::timeout(PATIENCE, watch).await;
}

/// The streams that the client has to open, by their type; `None` when it is gone first.
async fn open_all(
    incoming: &mut mpsc::Receiver<spdy::Stream>,
    options: &ExecOptions,
) -> Option<HashMap<String, spdy::Stream>> {
    let wanted = [
        true,
        options.stdin,
        options.stdout,
        options.stderr && !options.tty,
        options.tty,
    ];
    let count = wanted.into_iter().filter(|is_wanted| *is_wanted).count();
    let mut streams = HashMap::new();
    while streams.len() < count {
        let stream = incoming.recv().await?;
        streams.insert(stream.header("streamtype").to_owned(), stream);
    }
    Some(streams)
}
