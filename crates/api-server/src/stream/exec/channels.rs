//! The streams of a command as channels of one WebSocket: each message begins with its channel.
//!
//! Source of the protocol: `k8s.io/apimachinery/pkg/util/remotecommand` (v4 and v5).

use axum::{
    extract::{
        Request,
        ws::{Message, WebSocket},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, stream::SplitStream};
use tokio::sync::{mpsc, oneshot};

use super::{Client, Sink, connect, upgrade};
use crate::{kubelet::ExecSession, status::ApiResult};

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// Of v5: the next byte names the channel that the client closes.
const CLOSE: u8 = 255;

/// A channel on the way to the client.
pub(super) struct Channel {
    number: u8,
    frames: mpsc::Sender<Bytes>,
}

impl Channel {
    pub(super) async fn send(&self, data: &[u8]) {
        let frame = [&[self.number], data].concat();
        // a client that is gone reads no more
        let _ = self.frames.send(frame.into()).await;
    }
}

pub(super) async fn respond(request: Request, session: ExecSession) -> ApiResult<Response> {
    upgrade::web_socket(request, &PROTOCOLS, |socket, _| serve(socket, session)).await
}

async fn serve(socket: WebSocket, session: ExecSession) {
    let (mut sink, messages) = socket.split();
    let (frames, mut outgoing) = mpsc::channel::<Bytes>(16);
    let writer = tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if sink.send(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        // without a code of its own the end would read as an error
        let _ = sink.send(upgrade::normal_end()).await;
    });
    let (stdin, input) = mpsc::channel(16);
    let (sizes, new_sizes) = mpsc::channel(4);
    let (alive, gone) = oneshot::channel();
    let reader = tokio::spawn(async move {
        read_client(messages, stdin, sizes).await;
        drop(alive);
    });
    let channel = |number| {
        Sink::Channel(Channel {
            number,
            frames: frames.clone(),
        })
    };
    let client = Client {
        stdin: Some(input),
        sizes: Some(new_sizes),
        stdout: channel(STDOUT),
        stderr: channel(STDERR),
        status: channel(STATUS),
        gone,
    };
    drop(frames);
    connect(session, client).await;
    let _ = writer.await;
    reader.abort();
}

/// Hands on what the client sends, until it is gone.
async fn read_client(
    mut messages: SplitStream<WebSocket>,
    stdin: mpsc::Sender<Bytes>,
    sizes: mpsc::Sender<Bytes>,
) {
    let mut stdin = Some(stdin);
    while let Some(Ok(message)) = messages.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        match bytes.split_first() {
            Some((&STDIN, data)) if !data.is_empty() => {
                if let Some(input) = &stdin
                    && input.send(bytes.slice(1..)).await.is_err()
                {
                    stdin = None;
                }
            }
            Some((&CLOSE, [STDIN])) => stdin = None,
            Some((&RESIZE, _)) => {
                // a command without a terminal has no size
                let _ = sizes.try_send(bytes.slice(1..));
            }
            _ => {}
        }
    }
}
