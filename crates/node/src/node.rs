//! The node as a whole: registers itself, takes the pods bound to it, and ends them.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    ImageSource, dns,
    event::Events,
    ingress, machine,
    orders::{self, PodControl},
    pod::{self, RunningPod},
    service_proxy, volume,
};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::watcher,
};
use prefect_e2e_sandbox::{SandboxError, network};
use serde_json::json;
use tokio::sync::watch;

/// How a node is started.
pub struct NodeOptions {
    /// The name of its Node object.
    pub name: String,
    /// The API server.
    pub client: Client,
    /// Where images come from.
    pub images: Arc<dyn ImageSource>,
    /// An empty directory on a filesystem that ends with the node.
    pub run_dir: PathBuf,
    /// The program that is executed again as a container; its `main` calls the sandbox's `dispatch`.
    pub executable: PathBuf,
    /// The pause before a failed container is started again, doubled each time.
    pub restart_pause: Duration,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The network could not be made.
    #[error("cannot make the node's network")]
    Network(#[from] SandboxError),
    /// The node could not be registered.
    #[error("cannot register the node")]
    Register(#[source] kube::Error),
    /// Ingresses could not be routed.
    #[error("cannot route Ingresses")]
    Ingress(#[source] std::io::Error),
    /// The cluster's DNS could not be served.
    #[error("cannot serve DNS at {address}")]
    Dns {
        /// Its address.
        address: Ipv4Addr,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// What all pods of the node share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) images: Arc<dyn ImageSource>,
    pub(crate) run_dir: PathBuf,
    pub(crate) executable: PathBuf,
    pub(crate) restart_pause: Duration,
    pub(crate) events: Events,
    pub(crate) addresses: Addresses,
    pub(crate) address: Ipv4Addr,
    /// Changes when a ConfigMap or a Secret does.
    pub(crate) volume_sources: watch::Receiver<()>,
}

/// A running node.
pub struct Node {
    pub(crate) shared: Arc<Shared>,
    pods: Mutex<HashMap<String, Arc<RunningPod>>>,
}

impl Node {
    /// Makes the network, registers the node and begins to run the pods bound to it.
    ///
    /// # Errors
    /// When the network cannot be made or the API refuses the node.
    pub async fn start(options: NodeOptions) -> Result<Arc<Self>, NodeError> {
        network::prepare_node().await?;
        let shared = Arc::new(Shared {
            events: Events::new(options.client.clone(), &options.name),
            client: options.client.clone(),
            images: options.images,
            run_dir: options.run_dir,
            executable: options.executable,
            restart_pause: options.restart_pause,
            addresses: Addresses::default(),
            address: network::GATEWAY,
            volume_sources: volume::watch_sources(options.client.clone()),
        });
        let node = Arc::new(Self {
            shared,
            pods: Mutex::default(),
        });
        dns::serve(options.client.clone())
            .await
            .map_err(|source| NodeError::Dns {
                address: dns::ADDRESS,
                source,
            })?;
        ingress::serve(options.client.clone())
            .await
            .map_err(NodeError::Ingress)?;
        tokio::spawn(service_proxy::run(options.client.clone()));
        register(&options.client, &options.name)
            .await
            .map_err(NodeError::Register)?;
        tokio::spawn(node.clone().watch_pods(options.name));
        Ok(node)
    }

    pub(crate) fn pods(&self) -> MutexGuard<'_, HashMap<String, Arc<RunningPod>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch_pods(self: Arc<Self>, name: String) {
        let api: Api<Pod> = Api::all(self.shared.client.clone());
        let bound = watcher::Config::default().fields(&format!("spec.nodeName={name}"));
        let mut controls: HashMap<String, PodControl> = HashMap::new();
        let mut events = std::pin::pin!(watcher(api, bound));
        loop {
            match events.try_next().await {
                Ok(Some(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))) => {
                    self.on_pod(pod, &mut controls);
                }
                Ok(Some(watcher::Event::Delete(pod))) => {
                    if let Some(control) = controls.remove(&pod.uid().unwrap_or_default()) {
                        // deleted without grace: by force, or because this node said that it is gone
                        control.end(Duration::ZERO);
                    }
                }
                Ok(Some(watcher::Event::Init | watcher::Event::InitDone)) => {}
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the watch of pods is begun again"),
            }
        }
    }

    fn on_pod(self: &Arc<Self>, pod: Pod, controls: &mut HashMap<String, PodControl>) {
        let uid = pod.uid().unwrap_or_default();
        let control = controls
            .entry(uid.clone())
            .or_insert_with(|| self.begin(uid, &pod));
        if pod.metadata.deletion_timestamp.is_some() {
            let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
            control.end(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        }
        control.latest.send_replace(Arc::new(pod));
    }

    fn begin(self: &Arc<Self>, uid: String, pod: &Pod) -> PodControl {
        let (control, orders) = orders::orders(pod);
        let node = self.clone();
        tokio::spawn(async move {
            let registry = node.clone();
            let register = |running: Arc<RunningPod>| {
                registry.pods().insert(uid.clone(), running);
            };
            pod::run(node.shared.clone(), orders, register).await;
            node.pods().remove(&uid);
        });
        control
    }
}

async fn register(client: &Client, name: &str) -> Result<(), kube::Error> {
    let api: Api<NodeObject> = Api::all(client.clone());
    let node = machine::describe(name);
    api.create(&PostParams::default(), &node).await?;
    let status = Patch::Merge(json!({"status": node.status}));
    api.patch_status(name, &PatchParams::default(), &status).await?;
    Ok(())
}

/// The addresses of the pod network.
#[derive(Default)]
pub(crate) struct Addresses {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    addresses: BTreeSet<u8>,
    last: u8,
}

impl Addresses {
    /// An address that no pod has; `None` when all are taken.
    ///
    /// They go round: who still knows the pod that had an address does not soon meet another one there.
    pub(crate) fn take(&self) -> Option<Ipv4Addr> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // .0 is the network, .1 the node, .255 the broadcast
        let next = (2..=254).filter(|host| *host > taken.last).chain(2..=254);
        let free = next.into_iter().find(|host| !taken.addresses.contains(host))?;
        taken.addresses.insert(free);
        taken.last = free;
        let [a, b, c, _] = network::GATEWAY.octets();
        Some(Ipv4Addr::new(a, b, c, free))
    }

    pub(crate) fn release(&self, address: Ipv4Addr) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.addresses.remove(&address.octets()[3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_once_and_given_again_when_released() {
        let addresses = Addresses::default();
        let all: Vec<_> = std::iter::from_fn(|| addresses.take()).collect();
        assert_eq!(all.len(), 253);
        assert_eq!(all[0], Ipv4Addr::new(10, 244, 0, 2));
        assert_eq!(addresses.take(), None);
        addresses.release(all[7]);
        assert_eq!(addresses.take(), Some(all[7]));
        addresses.release(all[3]);
        addresses.release(all[9]);
        assert_eq!(addresses.take(), Some(all[9]), "the next one, not the lowest");
    }
}
