//! An embedded single-node Kubernetes: API server, controllers and node in one process, which lives in
//! Linux namespaces of its own and ends with the program that started it.
//!
//! Not a distribution of Kubernetes: it serves what end-to-end tests of an application chart need, and
//! says no clearly to the rest.

mod channel;
mod cluster;
mod error;
mod gateway;
mod identity;
mod server;
mod standing;

pub use cluster::{Cluster, ClusterOptions};
pub use error::ClusterError;
pub use identity::CONTEXT;
pub use standing::{Claim, StandingCluster, StateDir, write_kubeconfig};

/// Runs the hidden mode that this process was started for and ends it; returns if there is none.
///
/// Call it first in `main`, before there are threads.
pub fn dispatch() {
    prefect_e2e_sandbox::dispatch(server::main);
}
