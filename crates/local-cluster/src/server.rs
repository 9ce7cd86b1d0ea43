//! The cluster's own process: API server, controllers and node in one, inside the node's namespaces.

use std::{
    collections::HashMap,
    io,
    net::TcpListener,
    os::unix::net::UnixStream as StdUnixStream,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use prefect_e2e_api_server::{ApiOptions, ApiServer, Tls};
use prefect_e2e_images::Image;
use prefect_e2e_node::{ImageSource, Node, NodeOptions, PullError};
use prefect_e2e_sandbox::node::NodeContext;
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
};

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
    let host = Arc::new(HostImages::new(writer, boot.known_images.clone()));
    let outcome = start(*boot, context.listener, context.run_dir, host.clone()).await;
    let _cluster = match outcome {
        Ok(cluster) => {
            host.tell(&ToHost::Ready).await?;
            cluster
        }
        Err(error) => {
            return host.tell(&ToHost::Failed { reason: error_chain(&*error) }).await;
        }
    };
    host.answer_from(&mut reader).await
}

fn connect(socket: StdUnixStream) -> io::Result<(BufReader<OwnedReadHalf>, OwnedWriteHalf)> {
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    Ok((BufReader::new(reader), writer))
}

/// What must stay alive while the cluster runs.
struct Running {
    _node: Arc<Node>,
}

async fn start(
    boot: Boot,
    listener: TcpListener,
    run_dir: PathBuf,
    images: Arc<HostImages>,
) -> Result<Running, Box<dyn std::error::Error + Send + Sync>> {
    let identity = boot.identity;
    let api = ApiServer::new(ApiOptions::default());
    let tls = Tls { cert_pem: identity.cert_pem, key_pem: identity.key_pem };
    let api_address = listener.local_addr()?;
    let serving = api.clone();
    tokio::spawn(async move {
        if let Err(error) = serving.serve(listener, tls, identity.token).await {
            tracing::error!(error = error_chain(&error), "the API server ended");
        }
    });
    let client = api.client();
    tokio::spawn(prefect_e2e_controllers::run(client.clone(), Default::default()));
    let node = Node::start(NodeOptions { client, images, run_dir }).await?;
    api.set_kubelet(node.clone());
    let _ = api_address;
    Ok(Running { _node: node })
}

/// The images of the host, asked for over the channel.
struct HostImages {
    writer: Mutex<OwnedWriteHalf>,
    known: Vec<String>,
    next_request: AtomicU64,
    waiting: std::sync::Mutex<HashMap<u64, oneshot::Sender<Result<Box<Image>, String>>>>,
}

impl HostImages {
    fn new(writer: OwnedWriteHalf, known: Vec<String>) -> Self {
        Self {
            writer: Mutex::new(writer),
            known,
            next_request: AtomicU64::new(0),
            waiting: std::sync::Mutex::default(),
        }
    }

    async fn tell(&self, message: &ToHost) -> io::Result<()> {
        channel::send(&mut *self.writer.lock().await, message).await
    }

    /// Hands answers to those who wait for them, until the host is gone.
    async fn answer_from(&self, reader: &mut BufReader<OwnedReadHalf>) -> io::Result<()> {
        while let Some(message) = channel::receive(reader).await? {
            if let ToCluster::Pulled { request, image } = message
                && let Some(waiting) = self.waiting().remove(&request)
            {
                // who asked may have given up
                let _ = waiting.send(image);
            }
        }
        Ok(())
    }
}
