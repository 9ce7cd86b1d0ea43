//! The side of the cluster that stays on the host: starts the cluster's process, makes images for
//! it, and ends it.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use kube::config::Kubeconfig;
use prefect_e2e_images::{Image, ImageStore, PullProgress};
use prefect_e2e_sandbox::{network::GATEWAY, node::NodeProcess};
use tokio::{
    io::BufReader,
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, broadcast, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    channel::{self, Boot, Questions, ToCluster, ToHost},
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
        Ok(Self {
            executable: std::env::current_exe()?,
            images,
            port: None,
        })
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
    sockets: Sockets,
    exposed: Mutex<HashMap<u16, JoinSet<()>>>,
}

/// What the tasks of the host's side share.
struct Shared {
    writer: Mutex<OwnedWriteHalf>,
    images: ImageStore,
    progress: broadcast::Sender<PullProgress>,
    exposing: Questions<Result<(), String>>,
    cpu_times: Questions<Result<f64, String>>,
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
            exposing: Questions::default(),
            cpu_times: Questions::default(),
        });
        let inside = shared
            .boot(
                &mut reader,
                Boot {
                    identity: identity.clone(),
                },
            )
            .await?;
        let sockets = Sockets {
            outside: seen_from_host(process.pid(), &inside),
            inside,
        };
        let (alive, ended) = watch::channel(());
        let host = shared.clone();
        let serving = tokio::spawn(async move {
            host.serve(reader).await;
            drop(alive);
        });
        Ok(Self {
            identity,
            address,
            process,
            serving,
            shared,
            ended,
            sockets,
            exposed: Mutex::default(),
        })
    }

    /// Lets pods reach `port` of the host's loopback, and gives the address at which they do.
    ///
    /// # Errors
    /// When the port is taken on the node, or the cluster has ended.
    pub async fn expose(&self, port: u16) -> Result<SocketAddr, ClusterError> {
        let mut exposed = self.exposed.lock().await;
        let address = SocketAddr::from((GATEWAY, port));
        if exposed.contains_key(&port) {
            return Ok(address);
        }
        let name = format!("host-{port}");
        let listener = UnixListener::bind(self.sockets.outside.join(&name)).map_err(ClusterError::Channel)?;
        let mut forwarding = JoinSet::new();
        forwarding.spawn(gateway::forward(listener, port));
        self.shared.expose(port, self.sockets.inside.join(name)).await?;
        exposed.insert(port, forwarding);
        Ok(address)
    }

    /// The seconds of CPU time that all pods have used so far, ended ones too; `None` when the cluster
    /// has ended or cannot tell.
    ///
    /// Processes that were killed together with the first process of their container count no longer.
    pub async fn cpu_seconds(&self) -> Option<f64> {
        let (request, answer) = self.shared.cpu_times.ask();
        self.shared.tell(&ToCluster::CpuTime { request }).await.ok()?;
        match answer.await.ok()? {
            Ok(seconds) => Some(seconds),
            Err(reason) => {
                tracing::debug!(reason, "the cluster does not know its CPU time");
                None
            }
        }
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

fn connect(socket: std::os::unix::net::UnixStream) -> io::Result<(BufReader<OwnedReadHalf>, OwnedWriteHalf)> {
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    Ok((BufReader::new(reader), writer))
}

impl Shared {
    async fn tell(&self, message: &ToCluster) -> io::Result<()> {
        channel::send(&mut *self.writer.lock().await, message).await
    }

    async fn boot(&self, reader: &mut BufReader<OwnedReadHalf>, boot: Boot) -> Result<PathBuf, ClusterError> {
        self.tell(&ToCluster::Boot(Box::new(boot)))
            .await
            .map_err(ClusterError::Channel)?;
        match channel::receive(reader).await.map_err(ClusterError::Channel)? {
            Some(ToHost::Ready { directory }) => Ok(directory),
            Some(ToHost::Failed { reason }) => Err(ClusterError::Boot { reason }),
            Some(ToHost::Image { .. } | ToHost::Exposed { .. } | ToHost::CpuTime { .. }) | None => {
                Err(ClusterError::Ended)
            }
        }
    }

    async fn expose(&self, port: u16, socket: PathBuf) -> Result<(), ClusterError> {
        let (request, answer) = self.exposing.ask();
        self.tell(&ToCluster::Expose {
            request,
            port,
            socket,
        })
        .await
        .map_err(ClusterError::Channel)?;
        let outcome = answer.await.map_err(|_| ClusterError::Ended)?;
        outcome.map_err(|reason| ClusterError::Expose { port, reason })
    }

    async fn serve(self: Arc<Self>, mut reader: BufReader<OwnedReadHalf>) {
        while let Ok(Some(message)) = channel::receive(&mut reader).await {
            match message {
                ToHost::Image {
                    request,
                    reference,
                    make,
                } => {
                    drop(tokio::spawn(self.clone().give_image(request, reference, make)));
                }
                ToHost::Exposed { request, outcome } => self.exposing.answer(request, outcome),
                ToHost::CpuTime { request, seconds } => self.cpu_times.answer(request, seconds),
                ToHost::Ready { .. } | ToHost::Failed { .. } => {}
            }
        }
        self.exposing.close();
        self.cpu_times.close();
    }

    async fn give_image(self: Arc<Self>, request: u64, reference: String, make: bool) {
        let image = if make {
            self.pull(&reference).await.map(Some)
        } else {
            self.find(&reference).await
        };
        let image = image.map(|image| image.map(Box::new));
        if let Err(error) = self.tell(&ToCluster::Image { request, image }).await {
            tracing::debug!(%error, reference, "the cluster ended while its image was made");
        }
    }

    async fn find(&self, reference: &str) -> Result<Option<Image>, String> {
        let (images, reference) = (self.images.clone(), reference.to_owned());
        // whether it is whole is checked file by file
        let found = tokio::task::spawn_blocking(move || images.find(&reference)).await;
        found.map_err(|error| error.to_string())
    }

    async fn pull(&self, reference: &str) -> Result<Image, String> {
        let progress = self.progress.clone();
        let report = move |step| {
            // nobody need be listening
            let _ = progress.send(step);
        };
        self.images
            .pull(reference, report)
            .await
            .map_err(|error| error_chain(&error))
    }
}

/// Where the host makes the sockets that pods' connections come through.
struct Sockets {
    /// The directory as the cluster's process sees it.
    inside: PathBuf,
    /// The same directory as this process sees it.
    outside: PathBuf,
}

/// A directory of the process `pid`, which has mounts of its own.
fn seen_from_host(pid: u32, directory: &Path) -> PathBuf {
    let relative = directory.strip_prefix("/").unwrap_or(directory);
    PathBuf::from(format!("/proc/{pid}/root")).join(relative)
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
