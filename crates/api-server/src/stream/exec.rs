//! `pods/exec` over WebSocket: streams as channels of one socket.
//!
//! Source of the protocol: `k8s.io/apimachinery/pkg/util/remotecommand` (v4 and v5).

use std::{io, sync::Arc};

use axum::{
    extract::{
        Request,
        ws::{Message, WebSocket},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, stream::SplitStream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};

use super::{kubelet_of, query_pairs, refused, upgrade};
use crate::{
    kubelet::{ExecOptions, ExecSession},
    path::ResourcePath,
    server::Shared,
    status::{ApiError, ApiResult},
};

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// Of v5: the next byte names the channel that the client closes.
const CLOSE: u8 = 255;

/// Runs the command of the query in a container and connects its streams to the client.
pub(crate) async fn respond(
    state: &Arc<Shared>,
    path: &ResourcePath,
    request: Request,
) -> ApiResult<Response> {
    let (kubelet, pod) = kubelet_of(state, path)?;
    if upgrade::is_spdy(&request) {
        return Err(ApiError::bad_request(
            "exec is served over WebSocket alone; kubectl speaks it from 1.31 on",
        ));
    }
    let options = options(&request)?;
    let session = kubelet
        .exec(&path.namespace, pod, options)
        .await
        .map_err(|error| refused(&error))?;
    upgrade::web_socket(request, &PROTOCOLS, |socket, _| connect(socket, session)).await
}

fn options(request: &Request) -> ApiResult<ExecOptions> {
    let mut options = ExecOptions::default();
    let is_true = |value: &str| value == "true" || value == "1";
    for (key, value) in query_pairs(request) {
        match key.as_str() {
            "command" => options.command.push(value),
            "container" if !value.is_empty() => options.container = Some(value),
            "stdin" => options.stdin = is_true(&value),
            "stdout" => options.stdout = is_true(&value),
            "stderr" => options.stderr = is_true(&value),
            "tty" => options.tty = is_true(&value),
            _ => {}
        }
    }
    if options.command.is_empty() {
        return Err(ApiError::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    Ok(options)
}

async fn connect(socket: WebSocket, session: ExecSession) {
    let (mut sink, messages) = socket.split();
    let (frames, mut outgoing) = mpsc::channel::<Bytes>(16);
    let writer = tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if sink.send(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    });
    let reader = tokio::spawn(read_client(messages, session.stdin, session.resize));
    let output = forward(session.stdout, STDOUT, frames.clone());
    let errors = forward(session.stderr, STDERR, frames.clone());
    let (exit, (), ()) = tokio::join!(session.exit, output, errors);
    let mut frame = vec![STATUS];
    frame.extend(exit_status(&exit).to_string().into_bytes());
    // the client may be gone
    let _ = frames.send(frame.into()).await;
    drop(frames);
    let _ = writer.await;
    reader.abort();
}

/// Sends what a stream of the command gives, each piece marked with its channel.
async fn forward(stream: Option<impl AsyncRead + Unpin>, channel: u8, frames: mpsc::Sender<Bytes>) {
    let Some(mut stream) = stream else { return };
    let mut piece = vec![channel; 32 * 1024];
    // the end of a terminal is an error (EIO), and an end all the same
    while let Ok(length @ 1..) = stream.read(&mut piece[1..]).await {
        if frames
            .send(Bytes::copy_from_slice(&piece[..=length]))
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn read_client(
    mut messages: SplitStream<WebSocket>,
    mut stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    resize: Option<mpsc::Sender<(u16, u16)>>,
) {
    while let Some(Ok(message)) = messages.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        match bytes.split_first() {
            Some((&STDIN, data)) => {
                if let Some(input) = &mut stdin {
                    let written = async {
                        input.write_all(data).await?;
                        input.flush().await
                    };
                    if written.await.is_err() {
                        stdin = None;
                    }
                }
            }
            Some((&CLOSE, [STDIN])) => stdin = None,
            Some((&RESIZE, data)) => {
                if let (Some(resize), Some(size)) = (&resize, terminal_size(data)) {
                    let _ = resize.send(size).await;
                }
            }
            _ => {}
        }
    }
}

fn terminal_size(data: &[u8]) -> Option<(u16, u16)> {
    let size: Value = serde_json::from_slice(data).ok()?;
    let field = |name: &str| size[name].as_u64().and_then(|number| u16::try_from(number).ok());
    Some((field("Width")?, field("Height")?))
}

/// The `Status` that tells the client how the command ended.
fn exit_status(exit: &io::Result<i32>) -> Value {
    match exit {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(error) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("error executing command in container: {error}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_told() {
        assert_eq!(exit_status(&Ok(0))["status"], "Success");
        assert_eq!(exit_status(&Ok(3))["details"]["causes"][0]["message"], "3");
        assert_eq!(
            exit_status(&Err(io::Error::other("x")))["reason"],
            "InternalError"
        );
    }

    #[test]
    fn sizes_are_read_as_go_writes_them() {
        assert_eq!(terminal_size(br#"{"Width":80,"Height":24}"#), Some((80, 24)));
        assert_eq!(terminal_size(b"{}"), None);
    }
}
