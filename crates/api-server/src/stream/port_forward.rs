//! `pods/portforward`: over WebSocket channels (`kube`), SPDY in a WebSocket (`kubectl` from 1.31 on)
//! and SPDY itself (older clients).

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{
        Request,
        ws::{Message, WebSocket},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::mpsc,
};

use super::{kubelet_of, query_pairs, spdy, upgrade};
use crate::{
    kubelet::{Duplex, Kubelet},
    path::ResourcePath,
    server::Shared,
    status::{ApiError, ApiResult},
};

const CHANNELS: [&str; 2] = ["v4.channel.k8s.io", "portforward.k8s.io"];
const TUNNEL: [&str; 1] = ["SPDY/3.1+portforward.k8s.io"];

/// The pod whose ports are forwarded.
#[derive(Clone)]
struct Pod {
    kubelet: Arc<dyn Kubelet>,
    namespace: String,
    name: String,
}

/// Forwards connections to ports of the pod.
pub(crate) async fn respond(
    state: &Arc<Shared>,
    path: &ResourcePath,
    request: Request,
) -> ApiResult<Response> {
    let (kubelet, name) = kubelet_of(state, path)?;
    let pod = Pod {
        kubelet,
        namespace: path.namespace.clone(),
        name: name.to_owned(),
    };
    if upgrade::is_spdy(&request) {
        return Ok(upgrade::spdy(request, "portforward.k8s.io", |connection| {
            serve_spdy(pod, connection)
        }));
    }
    if upgrade::offers(&request, TUNNEL[0]) {
        return upgrade::web_socket(request, &TUNNEL, |socket, _| async {
            serve_spdy(pod, upgrade::tunnel(socket)).await;
        })
        .await;
    }
    let ports = ports(&request);
    if ports.is_empty() {
        return Err(ApiError::bad_request("query parameter \"ports\" is required"));
    }
    upgrade::web_socket(request, &CHANNELS, |socket, _| serve_channels(pod, ports, socket)).await
}

/// The query's `ports`, which may be repeated and may be lists.
fn ports(request: &Request) -> Vec<u16> {
    let values = query_pairs(request)
        .filter(|(key, _)| key == "ports")
        .map(|(_, value)| value);
    let lists: Vec<String> = values.collect();
    lists
        .iter()
        .flat_map(|list| list.split(','))
        .filter_map(|port| port.trim().parse().ok())
        .collect()
}

impl Pod {
    async fn connect(&self, port: u16) -> Result<Box<dyn Duplex>, String> {
        let connection = self.kubelet.port_forward(&self.namespace, &self.name, port).await;
        connection.map_err(|error| {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            format!(
                "error forwarding port {port} to pod {}: {error}{cause}",
                self.name
            )
        })
    }
}

// === SPDY ===

async fn serve_spdy(pod: Pod, connection: impl Duplex + 'static) {
    let mut streams = spdy::serve(connection);
    // the error stream of a request comes before its data stream
    let mut errors: HashMap<String, spdy::Stream> = HashMap::new();
    while let Some(stream) = streams.recv().await {
        let request = stream.header("requestid").to_owned();
        match stream.header("streamtype") {
            "error" => {
                errors.insert(request, stream);
            }
            "data" => {
                let error = errors.remove(&request);
                tokio::spawn(forward_stream(pod.clone(), stream, error));
            }
            other => tracing::debug!(other, "a stream of unknown type"),
        }
    }
}

async fn forward_stream(pod: Pod, data: spdy::Stream, error: Option<spdy::Stream>) {
    let port = data.header("port").parse().unwrap_or_default();
    let spdy::Stream {
        mut input, output, ..
    } = data;
    match pod.connect(port).await {
        Ok(connection) => {
            let (mut from_pod, mut to_pod) = tokio::io::split(connection);
            let upload = async {
                while let Some(bytes) = input.recv().await {
                    if to_pod.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                let _ = to_pod.shutdown().await;
            };
            let download = async {
                let mut piece = vec![0; 32 * 1024];
                while let Ok(length @ 1..) = from_pod.read(&mut piece).await {
                    output.send(&piece[..length]).await;
                }
                output.finish().await;
            };
            tokio::join!(upload, download);
        }
        Err(message) => {
            if let Some(error) = &error {
                error.output.send(message.as_bytes()).await;
            }
            output.finish().await;
        }
    }
    if let Some(error) = error {
        error.output.finish().await;
    }
}

// === WebSocket channels ===

/// Two channels a port, data and error; each begins with the port as two bytes, low byte first.
async fn serve_channels(pod: Pod, ports: Vec<u16>, socket: WebSocket) {
    let (mut sink, mut messages) = socket.split();
    let (frames, mut outgoing) = mpsc::channel::<Bytes>(16);
    let writer = tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            if sink.send(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        let _ = sink.send(upgrade::normal_end()).await;
    });
    let mut uploads: Vec<Option<WriteHalf<Box<dyn Duplex>>>> = Vec::new();
    for (index, port) in ports.into_iter().enumerate() {
        let Ok(channel) = u8::try_from(2 * index) else {
            break;
        };
        for channel in [channel, channel + 1] {
            let [low, high] = port.to_le_bytes();
            let _ = frames.send(Bytes::copy_from_slice(&[channel, low, high])).await;
        }
        uploads.push(match pod.connect(port).await {
            Ok(connection) => {
                let (from_pod, to_pod) = tokio::io::split(connection);
                tokio::spawn(download(from_pod, channel, frames.clone()));
                Some(to_pod)
            }
            Err(message) => {
                let mut frame = vec![channel + 1];
                frame.extend(message.into_bytes());
                let _ = frames.send(frame.into()).await;
                None
            }
        });
    }
    drop(frames);
    while let Some(Ok(message)) = messages.next().await {
        let Message::Binary(bytes) = message else { continue };
        let Some((channel, data)) = bytes.split_first() else {
            continue;
        };
        let upload = uploads.get_mut(usize::from(channel / 2)).and_then(Option::as_mut);
        if let Some(upload) = upload
            && upload.write_all(data).await.is_err()
        {
            break;
        }
    }
    drop(uploads);
    writer.abort();
}

async fn download(mut from_pod: ReadHalf<Box<dyn Duplex>>, channel: u8, frames: mpsc::Sender<Bytes>) {
    let mut piece = vec![channel; 32 * 1024];
    while let Ok(length @ 1..) = from_pod.read(&mut piece[1..]).await {
        if frames
            .send(Bytes::copy_from_slice(&piece[..=length]))
            .await
            .is_err()
        {
            return;
        }
    }
}
