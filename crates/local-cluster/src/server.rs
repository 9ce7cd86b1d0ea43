//! The cluster's own process: API server, controllers and node in one, inside the node's namespaces.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream as StdUnixStream,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use prefect_e2e_api_server::{ApiOptions, ApiServer, Tls};
use prefect_e2e_images::Image;
use prefect_e2e_node::{ImageSource, Node, NodeOptions, PullError};
use prefect_e2e_sandbox::{network::GATEWAY, node::NodeContext};
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, oneshot},
};

use crate::{
    channel::{self, Boot, ToCluster, ToHost},
    cluster::error_chain,
    gateway,
};

/// The name of the only node.
const NODE_NAME: &str = "prefect-e2e";

/// The pause before a failed container is started again. A kubelet begins with 10 s, which would cost
/// more than the start of a server that waits for its database.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Where pods reach the API server, behind the Service `default/kubernetes`.
const API_PORT: u16 = 6443;

/// Runs the cluster until the process that started it is gone.
pub(crate) fn main(context: NodeContext) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("prefect-e2e: cannot start the cluster's threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(context)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prefect-e2e: the embedded cluster ended: {}", error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(context: NodeContext) -> io::Result<()> {
    let (mut reader, writer) = connect(context.control)?;
    let Some(ToCluster::Boot(boot)) = channel::receive(&mut reader).await? else {
        return Ok(());
    };
    let host = Arc::new(Host::new(writer));
    match start(*boot, context.listener, context.run_dir, host.clone()).await {
        Ok(_node) => {
            host.tell(&ToHost::Ready).await?;
            host.answer_from(&mut reader).await
        }
        Err(error) => host.tell(&ToHost::Failed { reason: error_chain(&*error) }).await,
    }
}

fn connect(socket: StdUnixStream) -> io::Result<(BufReader<OwnedReadHalf>, OwnedWriteHalf)> {
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    Ok((BufReader::new(reader), writer))
}

async fn start(
    boot: Boot,
    listener: TcpListener,
    run_dir: PathBuf,
    images: Arc<Host>,
) -> Result<Arc<Node>, Box<dyn std::error::Error + Send + Sync>> {
    let identity = boot.identity;
    let inside = SocketAddr::from((GATEWAY, API_PORT));
    let api = ApiServer::new(ApiOptions { advertise: Some(inside) });
    let tls = Tls { cert_pem: identity.cert_pem, key_pem: identity.key_pem };
    serve(&api, listener, &tls, &identity.token);
    let client = api.client();
    let options = prefect_e2e_controllers::Options { root_ca_pem: Some(tls.cert_pem.clone()) };
    tokio::spawn(prefect_e2e_controllers::run(client.clone(), options));
    let node = Node::start(NodeOptions {
        name: NODE_NAME.to_owned(),
        client,
        images,
        run_dir,
        executable: std::env::current_exe()?,
        restart_pause: RESTART_PAUSE,
    })
    .await?;
    // the address exists since the node made its network
    serve(&api, TcpListener::bind(inside)?, &tls, &identity.token);
    api.set_kubelet(node.clone());
    Ok(node)
}

fn serve(api: &ApiServer, listener: TcpListener, tls: &Tls, token: &str) {
    let (api, tls, token) = (api.clone(), tls.clone(), token.to_owned());
    tokio::spawn(async move {
        if let Err(error) = api.serve(listener, tls, token).await {
            tracing::error!(error = error_chain(&error), "the API server ended");
        }
    });
}

/// The process that started the cluster: it has the network and the cache of images.
struct Host {
    writer: Mutex<OwnedWriteHalf>,
    next_request: AtomicU64,
    waiting: std::sync::Mutex<HashMap<u64, oneshot::Sender<Result<Box<Image>, String>>>>,
}

impl Host {
    fn new(writer: OwnedWriteHalf) -> Self {
        Self {
            writer: Mutex::new(writer),
            next_request: AtomicU64::new(0),
            waiting: std::sync::Mutex::default(),
        }
    }

    async fn tell(&self, message: &ToHost) -> io::Result<()> {
        channel::send(&mut *self.writer.lock().await, message).await
    }

    /// Does what the host asks for and hands on its answers, until the host is gone.
    async fn answer_from(&self, reader: &mut BufReader<OwnedReadHalf>) -> io::Result<()> {
        while let Some(message) = channel::receive(reader).await? {
            match message {
                ToCluster::Pulled { request, image } => {
                    if let Some(waiting) = self.waiting().remove(&request) {
                        // who asked may have given up
                        let _ = waiting.send(image);
                    }
                }
                ToCluster::Expose { port, socket } => {
                    let outcome = gateway::listen(port, socket).await.map_err(|error| error.to_string());
                    self.tell(&ToHost::Exposed { port, outcome }).await?;
                }
                ToCluster::Boot(_) => {}
            }
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Box<Image>, String>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ImageSource for Host {
    async fn pull(&self, reference: &str) -> Result<Image, PullError> {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(request, sender);
        let lost = |reason: String| PullError { reason };
        self.tell(&ToHost::Pull { request, reference: reference.to_owned() })
            .await
            .map_err(|error| lost(error.to_string()))?;
        let image = answer.await.map_err(|_| lost("the cluster is ending".into()))?;
        image.map(|image| *image).map_err(lost)
    }
}
