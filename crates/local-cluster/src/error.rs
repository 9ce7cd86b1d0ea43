//! What can go wrong with a cluster as a whole.

use std::{io, path::PathBuf};

/// A cluster could not be started, reached or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The port of the API server is not free.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for; 0 for any.
        port: u16,
        /// What the kernel said.
        source: io::Error,
    },
    /// The certificates could not be made.
    #[error("cannot make the cluster's certificates")]
    Certificates(#[source] rcgen::Error),
    /// The namespaces of the node could not be made.
    #[error("cannot make the node's namespaces")]
    Sandbox(#[from] prefect_e2e_sandbox::SandboxError),
    /// The cluster's process and the one that started it could not talk.
    #[error("cannot talk to the cluster's process")]
    Channel(#[source] io::Error),
    /// The cluster said that it cannot start.
    #[error("the embedded cluster did not start: {reason}")]
    Boot {
        /// What it said.
        reason: String,
    },
    /// The cluster's process ended before the cluster was ready.
    #[error("the embedded cluster's process ended before it was ready; its messages stand above")]
    Ended,
    /// Pods cannot be given a port of the host.
    #[error("pods cannot reach port {port} of this machine: {reason}")]
    Expose {
        /// The port on 127.0.0.1.
        port: u16,
        /// What the cluster said.
        reason: String,
    },
    /// No client could be made from the kubeconfig.
    #[error("the cluster's kubeconfig is not usable")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The API server did not answer as expected.
    #[error("the cluster's API server failed")]
    Api(#[from] kube::Error),
    /// A file of a detached cluster could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A detached cluster is up already.
    #[error("a cluster is up already (process {pid}); `prefect-e2e cluster down` ends it")]
    AlreadyUp {
        /// The process that holds it.
        pid: u32,
    },
    /// A detached cluster did not become ready.
    #[error("the detached cluster did not become ready; its messages are in {}", log.display())]
    Detached {
        /// Where its messages are.
        log: PathBuf,
    },
    /// The standing cluster did not end when told to.
    #[error("process {pid}, which holds the cluster, does not end")]
    Immortal {
        /// The process.
        pid: u32,
    },
    /// There is no home directory to keep the record of a standing cluster in.
    #[error("the home directory of this user is not known; set HOME or XDG_STATE_HOME")]
    NoHome,
}
