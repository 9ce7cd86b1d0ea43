//! A port of this machine that leads to a pod of a Service, as `kubectl port-forward service/…` does.

use std::net::{Ipv4Addr, SocketAddr};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::ListParams};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{check::Broken, deploy::Place};

/// Open while this value lives. Each connection goes to a pod that is ready at that moment, so the
/// forward outlives the pod that it began with.
pub(crate) struct PortForward {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl PortForward {
    /// Opens a free port on 127.0.0.1 that leads to `port` of the pods that `selector` names.
    ///
    /// # Errors
    /// When no port can be opened.
    pub(crate) async fn open(place: &Place, selector: &str, port: u16) -> Result<Self, Broken> {
        Self::open_at(place, selector, port, 0).await
    }

    /// The same at the port `here` of 127.0.0.1.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub(crate) async fn open_at(place: &Place, selector: &str, port: u16, here: u16) -> Result<Self, Broken> {
        let failed =
            |error: std::io::Error| Broken::new(format!("cannot open a port for a port-forward: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, here))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let pods: Api<Pod> = Api::namespaced(place.client.clone(), &place.namespace);
        let selector = selector.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (pods, selector) = (pods.clone(), selector.clone());
                tokio::spawn(async move {
                    if let Err(error) = pass(&pods, &selector, port, connection).await {
                        tracing::debug!(error, "a forwarded connection ended");
                    }
                });
            }
        });
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(pods: &Api<Pod>, selector: &str, port: u16, mut connection: TcpStream) -> Result<(), String> {
    let list = pods
        .list(&ListParams::default().labels(selector))
        .await
        .map_err(|error| error.to_string())?;
    let pod = pick(&list.items).ok_or_else(|| format!("no pod of {selector} runs"))?;
    let mut forwarder = pods
        .portforward(&pod.name_any(), &[port])
        .await
        .map_err(|error| error.to_string())?;
    let mut stream = forwarder.take_stream(port).ok_or("the forward has no stream")?;
    // either side may end the connection as it likes
    let _ = tokio::io::copy_bidirectional(&mut connection, &mut stream).await;
    drop(stream);
    // an error says why the pod did not take the connection; the client sees it closed
    forwarder.join().await.map_err(|error| error.to_string())
}

/// A ready pod, else a running one, never one that is ending.
fn pick(pods: &[Pod]) -> Option<&Pod> {
    let mut running: Vec<&Pod> = pods.iter().filter(|pod| is_running(pod)).collect();
    running.sort_by_key(|pod| !is_ready(pod));
    running.first().copied()
}

fn is_running(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

/// Whether the pod's condition `Ready` holds.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
