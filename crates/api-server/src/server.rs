//! The API server as a whole: what it is made of, how it is reached.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
};

use axum::body::Body;
use http::Request;
use tower::ServiceExt as _;

use crate::{
    bootstrap,
    kubelet::Kubelet,
    resource::Resources,
    routes,
    service_account::Tokens,
    tls::{self, ServeError, Tls},
};

/// What can be set when the API starts.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiOptions {
    /// Where pods reach the API: the endpoint of the Service `default/kubernetes`. Without it the
    /// Service has none.
    pub advertise: Option<SocketAddr>,
}

/// The Kubernetes API. Clones share everything.
#[derive(Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) resources: Arc<Resources>,
    pub(crate) tokens: Tokens,
    kubelet: OnceLock<Arc<dyn Kubelet>>,
}

impl Shared {
    /// The node that answers for running pods, once there is one.
    pub(crate) fn kubelet(&self) -> Option<&Arc<dyn Kubelet>> {
        self.kubelet.get()
    }
}

impl ApiServer {
    /// A cluster with the objects that every cluster has from its start: its namespaces, the Services
    /// `default/kubernetes` (10.96.0.1) and `kube-system/kube-dns` (10.96.0.10), the storage class
    /// `standard` and the system's priority classes.
    #[must_use]
    pub fn new(options: ApiOptions) -> Self {
        let resources = Resources::new();
        bootstrap::create_objects(&resources, options);
        Self {
            shared: Arc::new(Shared {
                resources: Arc::new(resources),
                tokens: Tokens::new(),
                kubelet: OnceLock::new(),
            }),
        }
    }

    /// A client that calls this server within the process, with all rights. It cannot upgrade
    /// connections, as `exec` and `port_forward` need.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        let router = routes::open(self.shared.clone());
        let service = router.map_request(|request: Request<kube::client::Body>| request.map(Body::new));
        kube::Client::new(service, "default")
    }

    /// Names the node that answers for running pods. The first one named stays.
    pub fn set_kubelet(&self, kubelet: Arc<dyn Kubelet>) {
        if self.shared.kubelet.set(kubelet).is_err() {
            tracing::warn!("a kubelet is set already");
        }
    }

    /// Serves the API over TLS until the future is dropped. `token` is the bearer token that clients need.
    ///
    /// # Errors
    /// When the certificate cannot be used or the listener fails.
    pub async fn serve(&self, listener: TcpListener, tls: Tls, token: String) -> Result<(), ServeError> {
        tls::serve(listener, tls, routes::guarded(self.shared.clone(), &token)).await
    }
}
