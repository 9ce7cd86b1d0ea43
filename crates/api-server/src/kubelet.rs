//! What the API server asks of the node that runs a pod.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

/// The node's answers to requests about its running pods.
#[async_trait]
pub trait Kubelet: Send + Sync {
    /// The log of a container, as lines of bytes.
    ///
    /// # Errors
    /// When there is no such container or no such log.
    async fn logs(&self, namespace: &str, pod: &str, options: LogOptions) -> Result<LogStream, KubeletError>;

    /// Starts a command in a running container.
    ///
    /// # Errors
    /// When there is no such container, it does not run, or the command cannot be started.
    async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<ExecSession, KubeletError>;

    /// Connects to the streams of a running container's own program. `options.command` is not used.
    ///
    /// # Errors
    /// When there is no such container, it does not run, or it has no input or terminal but is asked for one.
    async fn attach(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<ExecSession, KubeletError>;

    /// Connects to a port of the pod from inside its network, on 127.0.0.1.
    ///
    /// # Errors
    /// When there is no such pod or nothing listens.
    async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn Duplex>, KubeletError>;
}

/// The bytes of a log.
pub type LogStream = BoxStream<'static, io::Result<Bytes>>;

/// A connection in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Which part of which log to give; the query of `pods/log`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The container; the pod's only one if `None`.
    pub container: Option<String>,
    /// Go on with new lines until the container ends.
    pub follow: bool,
    /// The log of the container's previous run.
    pub previous: bool,
    /// Only so many lines at the end.
    pub tail_lines: Option<u64>,
    /// Only lines of the last seconds.
    pub since_seconds: Option<u64>,
    /// Only lines from this time on.
    pub since_time: Option<jiff::Timestamp>,
    /// Start each line with its time, RFC 3339 with nanoseconds.
    pub timestamps: bool,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// What to start in a container, and with which streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The container; the pod's first one if `None`.
    pub container: Option<String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether there is an input.
    pub stdin: bool,
    /// Whether the output is wanted.
    pub stdout: bool,
    /// Whether the error output is wanted.
    pub stderr: bool,
    /// Whether the command gets a terminal.
    pub tty: bool,
}

/// A command that runs in a container.
pub struct ExecSession {
    /// Its input, if asked for.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Its output; with a terminal, its error output too.
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Its error output.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Takes the terminal's new size: columns, rows.
    pub resize: Option<mpsc::Sender<(u16, u16)>>,
    /// Resolves to its exit code.
    pub exit: BoxFuture<'static, io::Result<i32>>,
}

/// Why the node cannot answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeletError {
    /// There is no such pod, container or log on this node.
    #[error("{0}")]
    NotFound(String),
    /// The request does not fit the pod's state.
    #[error("{0}")]
    BadRequest(String),
    /// The operating system refused.
    #[error("{context}")]
    Io {
        /// What was tried.
        context: String,
        /// What the kernel said.
        source: io::Error,
    },
}
