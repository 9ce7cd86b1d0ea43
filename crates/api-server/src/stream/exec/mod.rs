//! `pods/exec` and `pods/attach`: the streams of a command, as channels of a WebSocket or as streams of
//! SPDY.

mod channels;
mod streams;

use std::{io, sync::Arc};

use axum::{extract::Request, response::Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
};

use super::{kubelet_of, query_pairs, refused, spdy, upgrade};
use crate::{
    kubelet::{ExecOptions, ExecSession},
    path::ResourcePath,
    server::Shared,
    status::{ApiError, ApiResult},
};

/// Runs the command of the query in a container, or attaches to the container's own program, and
/// connects its streams to the client.
pub(crate) async fn respond(
    state: &Arc<Shared>,
    path: &ResourcePath,
    request: Request,
) -> ApiResult<Response> {
    let (kubelet, pod) = kubelet_of(state, path)?;
    let options = options(&request);
    if upgrade::is_spdy(&request) {
        streams::check(&request)?;
    }
    let session = if path.subresource.as_deref() == Some("attach") {
        kubelet.attach(&path.namespace, pod, options.clone()).await
    } else if options.command.is_empty() {
        let why = "you must specify at least 1 command for the container";
        return Err(ApiError::bad_request(why));
    } else {
        kubelet.exec(&path.namespace, pod, options.clone()).await
    };
    let session = session.map_err(|error| refused(&error))?;
    if upgrade::is_spdy(&request) {
        return Ok(streams::respond(request, session, options));
    }
    channels::respond(request, session).await
}

fn options(request: &Request) -> ExecOptions {
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
    options
}

/// The client's ends of a command's streams.
struct Client {
    stdin: Option<mpsc::Receiver<Bytes>>,
    /// Sizes of the terminal, as the client writes them.
    sizes: Option<mpsc::Receiver<Bytes>>,
    stdout: Sink,
    stderr: Sink,
    status: Sink,
    /// Resolves when the client is gone.
    gone: oneshot::Receiver<()>,
}

/// Where a stream of the command goes to.
enum Sink {
    Channel(channels::Channel),
    Stream(spdy::Output),
    Nowhere,
}

impl Sink {
    async fn send(&self, data: &[u8]) {
        match self {
            Self::Channel(channel) => channel.send(data).await,
            Self::Stream(stream) => stream.send(data).await,
            Self::Nowhere => {}
        }
    }

    async fn finish(&self) {
        if let Self::Stream(stream) = self {
            stream.finish().await;
        }
    }
}

/// Connects a command to its client until it has ended or the client is gone, which ends the command.
async fn connect(session: ExecSession, client: Client) {
    let input = tokio::spawn(pass_input(client.stdin, session.stdin));
    let sizes = tokio::spawn(pass_sizes(client.sizes, session.resize));
    let outputs = async {
        tokio::join!(
            session.exit,
            pass_output(session.stdout, &client.stdout),
            pass_output(session.stderr, &client.stderr),
        )
    };
    tokio::select! {
        (exit, (), ()) = outputs => {
            client.status.send(exit_status(&exit).to_string().as_bytes()).await;
            client.status.finish().await;
        }
        _ = client.gone => {}
    }
    input.abort();
    sizes.abort();
}

async fn pass_output(stream: Option<impl AsyncRead + Unpin>, sink: &Sink) {
    if let Some(mut stream) = stream {
        let mut piece = vec![0; 32 * 1024];
        // the end of a terminal is an error (EIO), and an end all the same
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            sink.send(&piece[..length]).await;
        }
    }
    sink.finish().await;
}

async fn pass_input(input: Option<mpsc::Receiver<Bytes>>, stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>) {
    let (Some(mut input), Some(mut stdin)) = (input, stdin) else {
        return;
    };
    while let Some(data) = input.recv().await {
        let written = async {
            stdin.write_all(&data).await?;
            stdin.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
    // the command sees the end of its input
    let _ = stdin.shutdown().await;
}

async fn pass_sizes(sizes: Option<mpsc::Receiver<Bytes>>, resize: Option<mpsc::Sender<(u16, u16)>>) {
    let (Some(mut sizes), Some(resize)) = (sizes, resize) else {
        return;
    };
    while let Some(data) = sizes.recv().await {
        // one message of SPDY may hold several sizes
        for size in serde_json::Deserializer::from_slice(&data).into_iter::<Value>() {
            if let Some(size) = size.ok().as_ref().and_then(terminal_size)
                && resize.send(size).await.is_err()
            {
                return;
            }
        }
    }
}

fn terminal_size(size: &Value) -> Option<(u16, u16)> {
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

    #[tokio::test]
    async fn sizes_are_read_as_go_writes_them() {
        let (input, sizes) = mpsc::channel(4);
        let (resize, mut resized) = mpsc::channel(4);
        input
            .send("{\"Width\":80,\"Height\":24}\n{\"Width\":1,\"Height\":2}\n{}".into())
            .await
            .unwrap();
        drop(input);
        pass_sizes(Some(sizes), Some(resize)).await;
        assert_eq!(resized.recv().await, Some((80, 24)));
        assert_eq!(resized.recv().await, Some((1, 2)));
        assert_eq!(resized.recv().await, None);
    }
}
