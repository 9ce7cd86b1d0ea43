//! The side of the cluster that stays on the host: starts the cluster's process, makes images for
//! it, and ends it.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError},
};

use kube::config::Kubeconfig;
use prefect_e2e_images::{ImageStore, PullProgress};
use prefect_e2e_sandbox::{network::GATEWAY, node::NodeProcess};
use tempfile::TempDir;
use tokio::{
    io::BufReader,
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, broadcast, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    channel::{self, Boot, ToCluster, ToHost},
    error::ClusterError,
    gateway,
    identity::Identity,
};

/// How a cluster is started.
pub struct ClusterOptions {
    /// The program to run again as the cluster's process; its `main` calls [`crate::dispatch`] first.
    pub executable: PathBuf,
    /// Where images come from.
    pub images: ImageStore,
    /// The port of the API server on 127.0.0.1; any free one if `None`.
    pub port: Option<u16>,
}

impl ClusterOptions {
    /// Options with this program as the executable and any free port.
    ///
    /// # Errors
    /// When the path of this program cannot be read.
    pub fn new(images: ImageStore) -> io::Result<Self> {
        Ok(Self { executable: std::env::current_exe()?, images, port: None })
    }
}

/// A running cluster. Ends with this value, with [`Cluster::stop`], or with this process, even by
/// SIGKILL: then the kernel takes processes, mounts and networks with it.
pub struct Cluster {
    identity: Identity,
    address: SocketAddr,
    process: NodeProcess,
    serving: JoinHandle<()>,
    shared: Arc<Shared>,
    ended: watch::Receiver<()>,
    exposed: Mutex<Exposed>,
}

/// What the tasks of the host's side share.
struct Shared {
    writer: Mutex<OwnedWriteHalf>,
    images: ImageStore,
    progress: broadcast::Sender<PullProgress>,
    exposing: std::sync::Mutex<HashMap<u16, oneshot::Sender<Result<(), String>>>>,
}

/// The ports of the host that pods reach.
#[derive(Default)]
struct Exposed {
    sockets: Option<TempDir>,
    forwarding: HashMap<u16, JoinSet<()>>,
}

impl Cluster {
    /// Starts a cluster and returns when its API answers and its node is Ready.
    ///
    /// # Errors
    /// When the port is taken, the kernel forbids namespaces, or the cluster ends before it is ready.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let port = options.port.unwrap_or(0);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|source| ClusterError::Listen { port, source })?;
        let address = listener.local_addr().map_err(ClusterError::Channel)?;
        let identity = Identity::generate().map_err(ClusterError::Certificates)?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(ClusterError::Channel)?;
        let process = NodeProcess::spawn(&options.executable, listener, theirs)?;

        let (mut reader, writer) = connect(ours).map_err(ClusterError::Channel)?;
        let (progress, _) = broadcast::channel(256);
        let shared = Arc::new(Shared {
            writer: Mutex::new(writer),
            images: options.images,
            progress,
            exposing: std::sync::Mutex::default(),
        });
        shared.boot(&mut reader, Boot { identity: identity.clone() }).await?;
        let (alive, ended) = watch::channel(());
        let host = shared.clone();
        let serving = tokio::spawn(async move {
            host.serve(reader).await;
            drop(alive);
        });
        Ok(Self { identity, address, process, serving, shared, ended, exposed: Mutex::default() })
    }

    /// Lets pods reach `port` of the host's loopback, and gives the address at which they do.
    ///
    /// # Errors
    /// When the port is taken on the node, or the cluster has ended.
    pub async fn expose(&self, port: u16) -> Result<SocketAddr, ClusterError> {
        let mut exposed = self.exposed.lock().await;
        let address = SocketAddr::from((GATEWAY, port));
        if exposed.forwarding.contains_key(&port) {
            return Ok(address);
        }
        let directory = match exposed.sockets.take() {
            Some(directory) => directory,
            None => tempfile::Builder::new().prefix("prefect-e2e-").tempdir().map_err(ClusterError::Channel)?,
        };
        let socket = directory.path().join(port.to_string());
        exposed.sockets = Some(directory);
        let listener = UnixListener::bind(&socket).map_err(ClusterError::Channel)?;
        let mut forwarding = JoinSet::new();
        forwarding.spawn(gateway::forward(listener, port));
        self.shared.expose(port, socket).await?;
        exposed.forwarding.insert(port, forwarding);
        Ok(address)
    }

    /// Returns when the cluster's process has ended, which it does not do by itself.
    pub async fn ended(&self) {
        // an error says that the sender is gone, and it goes with the connection
        let _ = self.ended.clone().changed().await;
    }

    /// The kubeconfig of a cluster administrator. It holds a credential: write it with mode 0600.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.identity.kubeconfig(self.address)
    }

    /// A client of the cluster's administrator.
    ///
    /// # Errors
    /// When the client cannot be built from the kubeconfig.
    pub async fn client(&self) -> Result<kube::Client, ClusterError> {
        let mut config = kube::Config::from_custom_kubeconfig(self.kubeconfig(), &Default::default()).await?;
        // that a Service has no endpoints is an answer, not a reason to wait
        config.default_retry = false;
        Ok(kube::Client::try_from(config)?)
    }

    /// What the making of images reports, from now on.
    #[must_use]
    pub fn pull_progress(&self) -> broadcast::Receiver<PullProgress> {
        self.shared.progress.subscribe()
    }

    /// Where the API server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process identifier of the cluster's outermost process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends the cluster and returns when its processes are gone.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        self.serving.abort();
        self.process.kill();
        tokio::task::spawn_blocking(move || self.process.wait())
            .await
            .map_err(|joined| ClusterError::Channel(joined.into()))?
            .map_err(ClusterError::Channel)?;
        Ok(())
    }
}

fn connect(
    socket: std::os::unix::net::UnixStream,
) -> io::Result<(BufReader<OwnedReadHalf>, OwnedWriteHalf)> {
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    Ok((BufReader::new(reader), writer))
}

impl Shared {
    async fn tell(&self, message: &ToCluster) -> io::Result<()> {
        channel::send(&mut *self.writer.lock().await, message).await
    }

    async fn boot(&self, reader: &mut BufReader<OwnedReadHalf>, boot: Boot) -> Result<(), ClusterError> {
        self.tell(&ToCluster::Boot(Box::new(boot))).await.map_err(ClusterError::Channel)?;
        match channel::receive(reader).await.map_err(ClusterError::Channel)? {
            Some(ToHost::Ready) => Ok(()),
            Some(ToHost::Failed { reason }) => Err(ClusterError::Boot { reason }),
            Some(ToHost::Pull { .. } | ToHost::Exposed { .. }) | None => Err(ClusterError::Ended),
        }
    }

    async fn expose(&self, port: u16, socket: PathBuf) -> Result<(), ClusterError> {
        let (sender, answer) = oneshot::channel();
        self.exposing().insert(port, sender);
        self.tell(&ToCluster::Expose { port, socket }).await.map_err(ClusterError::Channel)?;
        let outcome = answer.await.map_err(|_| ClusterError::Ended)?;
        outcome.map_err(|reason| ClusterError::Expose { port, reason })
    }

    fn exposing(&self) -> MutexGuard<'_, HashMap<u16, oneshot::Sender<Result<(), String>>>> {
        self.exposing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, mut reader: BufReader<OwnedReadHalf>) {
        while let Ok(Some(message)) = channel::receive(&mut reader).await {
            match message {
                ToHost::Pull { request, reference } => drop(tokio::spawn(self.clone().pull(request, reference))),
                ToHost::Exposed { port, outcome } => {
                    if let Some(waiting) = self.exposing().remove(&port) {
                        // who asked may have given up
                        let _ = waiting.send(outcome);
                    }
                }
                ToHost::Ready | ToHost::Failed { .. } => {}
            }
        }
        // nobody answers any more
        self.exposing().clear();
    }

    async fn pull(self: Arc<Self>, request: u64, reference: String) {
        let progress = self.progress.clone();
        let report = move |step| {
            // nobody need be listening
            let _ = progress.send(step);
        };
        let image = self.images.pull(&reference, report).await;
        let image = image.map(Box::new).map_err(|error| error_chain(&error));
        if let Err(error) = self.tell(&ToCluster::Pulled { request, image }).await {
            tracing::debug!(%error, reference, "the cluster ended while its image was made");
        }
    }
}

/// The message of `error` and of all that caused it.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}
