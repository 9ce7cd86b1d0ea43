//! The embedded cluster, started by the run and gone with it.

use std::{collections::BTreeSet, io, net::SocketAddr, path::PathBuf};

use async_trait::async_trait;
use prefect_e2e_images::{ImageStore, PullProgress};
use prefect_e2e_local_cluster::{CONTEXT, Cluster, ClusterOptions, write_kubeconfig};
use tokio::sync::broadcast;

use super::{Target, TargetError, run_directory::RunDirectory};
use crate::event::{Events, Happening};

/// An embedded cluster of this run.
pub struct Embedded {
    cluster: Cluster,
    images: ImageStore,
    events: Events,
    client: kube::Client,
    why: String,
    kubeconfig: PathBuf,
    _directory: RunDirectory,
}

/// The program that becomes the cluster's process: this one, or `prefect-e2e` beside the tests' programs.
///
/// # Errors
/// When the path of this program cannot be read.
pub fn program() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own.parent().filter(|directory| directory.ends_with("deps"));
    let beside = directory
        .and_then(|directory| directory.parent())
        .map(|directory| directory.join("prefect-e2e"));
    Ok(beside.filter(|path| path.is_file()).unwrap_or(own))
}

impl Embedded {
    /// Starts a cluster; the making of its images is told to `events`.
    ///
    /// # Errors
    /// When the kernel forbids namespaces, or the cache of images cannot be used.
    pub async fn start(events: &Events, why: &str) -> Result<Self, TargetError> {
        let own = program().map_err(|source| TargetError::File {
            path: "/proc/self/exe".into(),
            source,
        })?;
        let images = ImageStore::open(None)?.guarded_by(own.clone());
        let options = ClusterOptions {
            executable: own,
            images: images.clone(),
            port: None,
        };
        let cluster = Cluster::start(options).await?;
        tokio::spawn(tell_pulls(cluster.pull_progress(), events.clone()));
        let directory = RunDirectory::make()?;
        let kubeconfig = directory.kubeconfig();
        write_kubeconfig(&kubeconfig, &cluster.kubeconfig())?;
        let client = cluster.client().await?;
        Ok(Self {
            cluster,
            images,
            events: events.clone(),
            client,
            why: why.to_owned(),
            kubeconfig,
            _directory: directory,
        })
    }

    /// The port of the API server on 127.0.0.1.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.cluster.address()
    }

    /// The process identifier of the cluster's outermost process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.cluster.pid()
    }

    /// The kubeconfig of the cluster's administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }
}

#[async_trait]
impl Target for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn about(&self) -> String {
        format!("the embedded cluster, {}", self.why)
    }

    fn client(&self) -> kube::Client {
        self.client.clone()
    }

    fn kubectl(&self) -> String {
        format!("--kubeconfig {} --context {CONTEXT}", self.kubeconfig.display())
    }

    fn ends_with_the_run(&self) -> bool {
        true
    }

    fn reaches_host(&self) -> bool {
        true
    }

    async fn expose(&self, port: u16) -> Result<Option<SocketAddr>, TargetError> {
        Ok(Some(self.cluster.expose(port).await?))
    }

    async fn missing_images(&self, references: &BTreeSet<String>) -> Vec<String> {
        let unmade =
            |reference: &&String| self.images.find(reference).is_none() && ImageStore::knows(reference);
        // of what no recipe makes, the pod that wants it tells
        references.iter().filter(unmade).cloned().collect()
    }

    async fn make_image(&self, reference: &str) -> Result<(), TargetError> {
        let events = self.events.clone();
        self.images
            .pull(reference, move |step| tell_pull(&events, step))
            .await?;
        Ok(())
    }

    async fn cpu_seconds(&self) -> Option<f64> {
        self.cluster.cpu_seconds().await
    }

    async fn tear_down(self: Box<Self>) -> Result<(), TargetError> {
        Ok(self.cluster.stop().await?)
    }
}

async fn tell_pulls(mut pulls: broadcast::Receiver<PullProgress>, events: Events) {
    loop {
        match pulls.recv().await {
            Ok(step) => tell_pull(&events, step),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

fn tell_pull(events: &Events, step: PullProgress) {
    let (message, done) = match step {
        PullProgress::Started { reference } => (format!("making the image {reference}, once"), false),
        PullProgress::Waiting => (
            "waiting for another program that makes the same image".into(),
            false,
        ),
        PullProgress::Step { message } => (message, false),
        PullProgress::Done { reference, about } => (format!("made the image {reference}: {about}"), true),
        _ => return,
    };
    events.publish(None, Happening::Image { message, done });
}
