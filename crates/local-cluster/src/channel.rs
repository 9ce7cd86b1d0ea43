//! The messages between the cluster, which lives in namespaces of its own without a network, and the
//! process that started it: one JSON document a line over a pair of Unix sockets.
//!
//! The end of the stream is a message too: when either side is gone, the other one ends.

use std::{io, path::PathBuf};

use prefect_e2e_images::Image;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::identity::Identity;

/// What the starting process tells the cluster.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToCluster {
    /// The first message: all that the cluster must know to begin.
    Boot(Box<Boot>),
    /// The answer to [`ToHost::Pull`] of the same `request`.
    Pulled { request: u64, image: Result<Box<Image>, String> },
    /// Let pods reach `port` of the host's loopback, whose connections the host takes at `socket`.
    Expose { port: u16, socket: PathBuf },
}

/// What the cluster must know to begin.
#[derive(Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) identity: Identity,
}

/// What the cluster tells the process that started it.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToHost {
    /// The API answers and the node is Ready.
    Ready,
    /// The cluster could not start, for this reason.
    Failed { reason: String },
    /// Make this image available; the host has the network and the cache.
    Pull { request: u64, reference: String },
    /// The answer to [`ToCluster::Expose`] of the same `port`.
    Exposed { port: u16, outcome: Result<(), String> },
}

/// Writes one message.
pub(crate) async fn send<M: Serialize>(writer: &mut (impl AsyncWrite + Unpin), message: &M) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Reads one message; `None` when the other side is gone.
pub(crate) async fn receive<M: DeserializeOwned>(
    reader: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<M>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn messages_arrive_in_order_and_the_end_is_seen() {
        let (mut near, far) = tokio::io::duplex(64);
        let mut far = BufReader::new(far);
        let sender = tokio::spawn(async move {
            for request in 0..3 {
                let reference = "busybox\nwith a newline".to_owned();
                send(&mut near, &ToHost::Pull { request, reference }).await.unwrap();
            }
        });
        for expected in 0..3 {
            let message = receive::<ToHost>(&mut far).await.unwrap();
            assert!(matches!(message, Some(ToHost::Pull { request, .. }) if request == expected));
        }
        sender.await.unwrap();
        assert!(receive::<ToHost>(&mut far).await.unwrap().is_none());
    }
}
