//! The messages between the cluster, which lives in namespaces of its own without a network, and the
//! process that started it: one JSON document a line over a pair of Unix sockets.
//!
//! The end of the stream is a message too: when either side is gone, the other one ends.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prefect_e2e_images::Image;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::oneshot,
};

use crate::identity::Identity;

/// What the starting process tells the cluster.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToCluster {
    /// The first message: all that the cluster must know to begin.
    Boot(Box<Boot>),
    /// The answer to [`ToHost::Image`] of the same `request`.
    Image { request: u64, image: ImageAnswer },
    /// Let pods reach `port` of the host's loopback, whose connections the host takes at `socket`.
    Expose {
        request: u64,
        port: u16,
        socket: PathBuf,
    },
    /// Say how much CPU time the pods have used.
    CpuTime { request: u64 },
}

/// An image, or why there is none; no image is one that would have to be made first.
pub(crate) type ImageAnswer = Result<Option<Box<Image>>, String>;

/// What the cluster must know to begin.
#[derive(Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) identity: Identity,
}

/// What the cluster tells the process that started it.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToHost {
    /// The API answers and the node is Ready; files made in this directory end with the node.
    Ready { directory: PathBuf },
    /// The cluster could not start, for this reason.
    Failed { reason: String },
    /// Give this image, and `make` it if it is not there; the host has the network and the cache.
    Image {
        request: u64,
        reference: String,
        make: bool,
    },
    /// The answer to [`ToCluster::Expose`] of the same `request`.
    Exposed {
        request: u64,
        outcome: Result<(), String>,
    },
    /// The answer to [`ToCluster::CpuTime`] of the same `request`.
    CpuTime {
        request: u64,
        seconds: Result<f64, String>,
    },
}

/// Questions to the other side that wait for their answers.
pub(crate) struct Questions<T> {
    open: Mutex<Open<T>>,
}

struct Open<T> {
    asked: u64,
    waiting: HashMap<u64, oneshot::Sender<T>>,
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        Self {
            open: Mutex::new(Open {
                asked: 0,
                waiting: HashMap::new(),
            }),
        }
    }
}

impl<T> Questions<T> {
    /// The number of a new question, and what its answer comes through.
    pub(crate) fn ask(&self) -> (u64, oneshot::Receiver<T>) {
        let (sender, answer) = oneshot::channel();
        let mut open = self.open();
        open.asked += 1;
        let request = open.asked;
        open.waiting.insert(request, sender);
        (request, answer)
    }

    /// Hands an answer to who asked, who may have given up.
    pub(crate) fn answer(&self, request: u64, answer: T) {
        if let Some(waiting) = self.open().waiting.remove(&request) {
            let _ = waiting.send(answer);
        }
    }

    /// Tells all who wait that no answer will come.
    pub(crate) fn close(&self) {
        self.open().waiting.clear();
    }

    fn open(&self) -> MutexGuard<'_, Open<T>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one message.
pub(crate) async fn send<M: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> io::Result<()> {
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
                send(
                    &mut near,
                    &ToHost::Image {
                        request,
                        reference,
                        make: true,
                    },
                )
                .await
                .unwrap();
            }
        });
        for expected in 0..3 {
            let message = receive::<ToHost>(&mut far).await.unwrap();
            assert!(matches!(message, Some(ToHost::Image { request, .. }) if request == expected));
        }
        sender.await.unwrap();
        assert!(receive::<ToHost>(&mut far).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn answers_reach_who_asked() {
        let questions = Questions::default();
        let (first, answer_to_first) = questions.ask();
        let (second, answer_to_second) = questions.ask();
        let (_, never) = questions.ask();
        questions.answer(second, "two");
        questions.answer(first, "one");
        questions.answer(99, "nobody asked");
        assert_eq!(
            (answer_to_first.await, answer_to_second.await),
            (Ok("one"), Ok("two"))
        );
        questions.close();
        assert!(never.await.is_err());
    }
}
