//! The node of the embedded cluster: what the kubelet, the network plugin, the proxy of Services and
//! the DNS server are on a real node, for pods that are sandboxed processes of this machine.

mod attach;
mod container;
mod cpu;
mod dns;
mod environment;
mod event;
mod ingress;
mod kubelet;
mod log;
mod machine;
mod node;
mod orders;
mod pod;
mod pod_network;
mod probe;
mod resource_field;
mod security;
mod service_proxy;
mod status;
mod volume;

pub use node::{Node, NodeError, NodeOptions};
pub use prefect_e2e_images::Image;

use async_trait::async_trait;

/// Where the node gets its images from.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// Makes the image available, which may take minutes.
    ///
    /// # Errors
    /// When there is no such image, or it cannot be made.
    async fn pull(&self, reference: &str) -> Result<Image, PullError>;

    /// The image if it is there already; `None` if it would have to be made.
    ///
    /// # Errors
    /// When it is not known whether it is there.
    async fn find(&self, reference: &str) -> Result<Option<Image>, PullError>;
}

/// Why an image is not available.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct PullError {
    /// What went wrong, for the pod's events.
    pub reason: String,
}
