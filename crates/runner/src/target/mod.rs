//! Where scenarios are deployed. The runner speaks to every target through the Kubernetes API alone.

mod api;
mod choice;
mod embedded;
mod kind;
mod kubeconfig;
mod program;
mod run_directory;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use async_trait::async_trait;

pub(crate) use choice::TargetArgs;
pub use embedded::{Embedded, program as cluster_program};
pub use kind::{Kind, KindOptions};
pub(crate) use kind::{STANDING as STANDING_KIND, delete_left as delete_left_kind_clusters};
pub use kubeconfig::Remote;
pub(crate) use program::{engine_version, kind, kubectl};
pub(crate) use run_directory::remove_left as remove_left_run_directories;

/// A cluster that scenarios are deployed to.
#[async_trait]
pub trait Target: Send + Sync {
    /// `embedded`, `kind` or `kubeconfig`.
    fn kind(&self) -> &'static str;

    /// Which cluster it is and why it was taken, in a sentence.
    fn about(&self) -> String;

    /// A client of the cluster.
    fn client(&self) -> kube::Client;

    /// The arguments that point `kubectl` at the cluster while it stands.
    fn kubectl(&self) -> String;

    /// Whether the cluster and all that is kept in it ends with the run.
    fn ends_with_the_run(&self) -> bool {
        false
    }

    /// Whether pods of this target can reach this machine.
    fn reaches_host(&self) -> bool {
        false
    }

    /// Lets pods reach `port` of this machine's loopback, and gives the address at which they do;
    /// `None` when pods of this target cannot.
    ///
    /// # Errors
    /// When the cluster refuses the port.
    async fn expose(&self, port: u16) -> Result<Option<SocketAddr>, TargetError>;

    /// The network of the container engine in which pods of this target reach containers.
    fn docker_network(&self) -> Option<String> {
        None
    }

    /// Those of `references` that have to be made, or brought to the cluster, before pods can start.
    async fn missing_images(&self, references: &BTreeSet<String>) -> Vec<String> {
        let _ = references;
        Vec::new()
    }

    /// Makes an image, or brings it to the cluster.
    ///
    /// # Errors
    /// When this machine lacks what the image is made of, or the cluster does not take it.
    async fn make_image(&self, reference: &str) -> Result<(), TargetError> {
        let _ = reference;
        Ok(())
    }

    /// The seconds of CPU time that pods have used so far, where the target knows.
    async fn cpu_seconds(&self) -> Option<f64> {
        None
    }

    /// Ends the cluster if this run made it.
    ///
    /// # Errors
    /// When something of it may be left.
    async fn tear_down(self: Box<Self>) -> Result<(), TargetError>;
}

/// A target cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The embedded cluster failed.
    #[error("the embedded cluster cannot be used")]
    Embedded(#[from] prefect_e2e_local_cluster::ClusterError),
    /// The images of the embedded cluster cannot be kept.
    #[error("the images of the embedded cluster cannot be used")]
    Images(#[from] prefect_e2e_images::ImageError),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// There is no such context.
    #[error("the kubeconfig has no context {name:?}; it has {}", known.join(", "))]
    UnknownContext {
        /// The name asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The kubeconfig names no current context.
    #[error("the kubeconfig has no current context; name one with --context: {}", known.join(", "))]
    NoContext {
        /// Those that there are.
        known: Vec<String>,
    },
    /// The context looks like a cluster that people depend on.
    #[error(
        "the current context {name:?} looks like production; to use it all the same name it: --context {name}"
    )]
    Production {
        /// The context.
        name: String,
    },
    /// The API server does not answer as it should.
    #[error("the API server of {about} does not answer")]
    Api {
        /// Which cluster.
        about: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
    /// A file cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A program that the target needs failed.
    #[error("{command} failed: {output}")]
    Command {
        /// What was run.
        command: String,
        /// The end of what it said.
        output: String,
    },
    /// A program that the target needs is not there.
    #[error("{program} is not on the PATH: {remedy}")]
    Missing {
        /// The program.
        program: &'static str,
        /// The command that installs it.
        remedy: &'static str,
    },
}
