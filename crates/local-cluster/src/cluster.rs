//! The side of the cluster that stays on the host: starts the cluster's process, makes images for
//! it, and ends it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use kube::config::Kubeconfig;
use prefect_e2e_images::{ImageStore, PullProgress};
use prefect_e2e_sandbox::node::NodeProcess;
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, broadcast},
    task::JoinHandle,
};

use crate::{
    channel::{self, Boot, ToCluster, ToHost},
    error::ClusterError,
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
    host: JoinHandle<()>,
    progress: broadcast::Sender<PullProgress>,
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

        let (progress, _) = broadcast::channel(256);
        let boot = Boot { identity: identity.clone(), known_images: options.images.known() };
        let mut host = Host::connect(ours, options.images, progress.clone()).map_err(ClusterError::Channel)?;
        host.boot(boot).await?;
        let host = tokio::spawn(host.serve());
        Ok(Self { identity, address, process, host, progress })
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
        let config = kube::Config::from_custom_kubeconfig(self.kubeconfig(), &Default::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// What the making of images reports, from now on.
    #[must_use]
    pub fn pull_progress(&self) -> broadcast::Receiver<PullProgress> {
        self.progress.subscribe()
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
        self.host.abort();
        self.process.kill();
        tokio::task::spawn_blocking(move || self.process.wait())
            .await
            .map_err(|joined| ClusterError::Channel(joined.into()))?
            .map_err(ClusterError::Channel)?;
        Ok(())
    }
}

/// The host's end of the channel.
struct Host {
    reader: BufReader<OwnedReadHalf>,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    images: ImageStore,
    progress: broadcast::Sender<PullProgress>,
}

impl Host {
    fn connect(
        socket: std::os::unix::net::UnixStream,
        images: ImageStore,
        progress: broadcast::Sender<PullProgress>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(socket)?.into_split();
        Ok(Self { reader: BufReader::new(reader), writer: Arc::new(Mutex::new(writer)), images, progress })
    }

    async fn boot(&mut self, boot: Boot) -> Result<(), ClusterError> {
        let message = ToCluster::Boot(Box::new(boot));
        channel::send(&mut *self.writer.lock().await, &message).await.map_err(ClusterError::Channel)?;
        match channel::receive(&mut self.reader).await.map_err(ClusterError::Channel)? {
            Some(ToHost::Ready) => Ok(()),
            Some(ToHost::Failed { reason }) => Err(ClusterError::Boot { reason }),
            Some(ToHost::Pull { .. }) | None => Err(ClusterError::Ended),
        }
    }

    async fn serve(mut self) {
        while let Ok(Some(message)) = channel::receive(&mut self.reader).await {
            if let ToHost::Pull { request, reference } = message {
                tokio::spawn(self.pull(request, reference));
            }
        }
    }

    fn pull(&self, request: u64, reference: String) -> impl Future<Output = ()> + use<> {
        let (images, progress, writer) = (self.images.clone(), self.progress.clone(), self.writer.clone());
        async move {
            let report = move |step| {
                // nobody need be listening
                let _ = progress.send(step);
            };
            let image = images.pull(&reference, report).await;
            let image = image.map(Box::new).map_err(|error| error_chain(&error));
            let answer = ToCluster::Pulled { request, image };
            if let Err(error) = channel::send(&mut *writer.lock().await, &answer).await {
                tracing::debug!(%error, reference, "the cluster ended while its image was made");
            }
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
