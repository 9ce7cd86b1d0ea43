//! One pod of the node, from the moment it is bound to the moment it is gone.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use prefect_e2e_sandbox::{
    Namespaces,
    network::{self, PodNetwork},
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    container::{Keeper, Logs, Restart, Running, whole_message},
    environment::Sources,
    event::Severity,
    kubelet::Commands,
    node::Shared,
    status::{self, ContainerProgress, PodProgress},
    volume::{VolumeError, Volumes, changing},
};

/// How long the node waits before it looks again for what a volume needs.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A pod whose volumes and network are there.
pub(crate) struct RunningPod {
    pub(crate) node: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) ip: Ipv4Addr,
    pub(crate) directory: PathBuf,
    pub(crate) volumes: BTreeMap<String, PathBuf>,
    /// Cancelled when the pod is to end.
    pub(crate) stop: CancellationToken,
    network: Mutex<Option<Arc<PodNetwork>>>,
    /// The namespaces of `network`.
    namespaces: Namespaces,
    /// The pod as the API has it by now.
    latest: watch::Receiver<Arc<Pod>>,
    progress: Arc<watch::Sender<PodProgress>>,
    grace: watch::Receiver<Grace>,
    running: Mutex<HashMap<String, Running>>,
    logs: Mutex<HashMap<String, Logs>>,
}

impl RunningPod {
    pub(crate) fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(crate) fn progress(&self) -> PodProgress {
        self.progress.borrow().clone()
    }

    /// Changes what is known of a container, and tells the API.
    pub(crate) fn change(&self, container: &str, change: impl FnOnce(&mut ContainerProgress)) {
        self.progress.send_modify(|progress| {
            change(progress.containers.entry(container.to_owned()).or_default());
        });
    }

    pub(crate) fn event(
        &self,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) {
        self.node
            .events
            .record(&self.pod, container, severity, reason, message);
    }

    /// The time that a container gets to end, from now on: that of the pod, which counts from the pod's
    /// deletion, or `own` for a container that ends alone.
    pub(crate) fn ending(&self, own: Option<Duration>) -> Ending {
        Ending {
            grace: self.grace.clone(),
            began: Instant::now(),
            own,
        }
    }

    pub(crate) fn namespaces(&self) -> Namespaces {
        self.namespaces.clone()
    }

    /// The pod's network; `None` when the pod has ended.
    pub(crate) fn network(&self) -> Option<Arc<PodNetwork>> {
        self.network
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the pod's variables and files are read from.
    pub(crate) fn sources(&self) -> Sources {
        Sources {
            client: self.node.client.clone(),
            pod: self.latest.borrow().clone(),
            pod_ip: self.ip.to_string(),
            host_ip: self.node.address.to_string(),
        }
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn logs(&self) -> MutexGuard<'_, HashMap<String, Logs>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs commands in a container, for probes and hooks.
    pub(crate) fn commands(self: &Arc<Self>, container: &str) -> Commands {
        Commands {
            pod: self.clone(),
            container: container.to_owned(),
        }
    }

    /// The files of `/etc` that the node writes for the pod.
    pub(crate) fn etc_files(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        [
            ("hosts", "/etc/hosts"),
            ("resolv.conf", "/etc/resolv.conf"),
            ("hostname", "/etc/hostname"),
        ]
        .into_iter()
    }
}

/// What the node tells the task of a pod.
pub(crate) struct PodControl {
    pub(crate) stop: CancellationToken,
    pub(crate) grace: watch::Sender<Grace>,
    pub(crate) latest: watch::Sender<Arc<Pod>>,
}

impl PodControl {
    /// Tells the task that its pod is to end within `period`, counted from the first time that this is told.
    pub(crate) fn end(&self, period: Duration) {
        self.grace.send_modify(|grace| {
            grace.began.get_or_insert_with(Instant::now);
            grace.period = period;
        });
        self.stop.cancel();
    }
}

/// The time that a pod gets to end, and since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grace {
    pub(crate) began: Option<Instant>,
    pub(crate) period: Duration,
}

/// The time that a container gets to end. It may become shorter while it passes.
pub(crate) struct Ending {
    grace: watch::Receiver<Grace>,
    began: Instant,
    own: Option<Duration>,
}

impl Ending {
    /// Returns when the time is over, but not before `at_least`.
    pub(crate) async fn over(&mut self, at_least: Instant) {
        loop {
            let grace = *self.grace.borrow_and_update();
            let end = match grace.began {
                Some(began) => began + grace.period,
                None => self.began + self.own.unwrap_or(grace.period),
            };
            // a pod that is ended by force does not wait for anything
            let end = if grace.began.is_some() && grace.period.is_zero() {
                end
            } else {
                end.max(at_least)
            };
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                changed = self.grace.changed() => if changed.is_err() {
                    return tokio::time::sleep_until(end).await;
                }
            }
        }
    }
}

/// What a pod's task is told, on its side.
pub(crate) struct PodOrders {
    pub(crate) stop: CancellationToken,
    pub(crate) grace: watch::Receiver<Grace>,
    pub(crate) latest: watch::Receiver<Arc<Pod>>,
}

/// The two sides of what a pod's task is told.
pub(crate) fn orders(pod: &Pod) -> (PodControl, PodOrders) {
    let spec = pod.spec.as_ref();
    let seconds = spec
        .and_then(|spec| spec.termination_grace_period_seconds)
        .unwrap_or(30);
    let period = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let (grace, grace_orders) = watch::channel(Grace { began: None, period });
    let (latest, latest_orders) = watch::channel(Arc::new(pod.clone()));
    let stop = CancellationToken::new();
    let orders = PodOrders {
        stop: stop.clone(),
        grace: grace_orders,
        latest: latest_orders,
    };
    (PodControl { stop, grace, latest }, orders)
}

/// Runs a pod until it is deleted. `register` makes it known to whoever asks for logs and commands.
pub(crate) async fn run(node: Arc<Shared>, orders: PodOrders, register: impl FnOnce(Arc<RunningPod>) + Send) {
    let pod = orders.latest.borrow().clone();
    let stop = orders.stop.clone();
    let progress = Arc::new(watch::Sender::new(PodProgress {
        start_time: Some(Timestamp::now()),
        ..PodProgress::default()
    }));
    let ended = CancellationToken::new();
    let publisher = tokio::spawn(publish(
        node.clone(),
        pod.clone(),
        progress.subscribe(),
        ended.clone(),
    ));
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let directory = node.run_dir.join("pods").join(&uid);
    if let Some(running) = set_up(&node, &pod, &directory, orders, &progress).await {
        let running = Arc::new(running);
        register(running.clone());
        tokio::select! {
            () = run_containers(&running) => {}
            () = keep_volumes(&running) => {}
        }
        // its processes are gone, and the network goes before its address is given again
        running
            .network
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        node.addresses.release(running.ip);
    } else {
        stop.cancelled().await;
    }
    ended.cancel();
    // the last states must be told before the pod is gone
    let _ = publisher.await;
    stop.cancelled().await;
    remove(&node, &pod).await;
    let _ = fs::remove_dir_all(&directory);
    node.events.forget(&uid);
}

/// Makes the pod's volumes and network; `None` when the pod ends first.
async fn set_up(
    node: &Arc<Shared>,
    pod: &Arc<Pod>,
    directory: &Path,
    orders: PodOrders,
    progress: &Arc<watch::Sender<PodProgress>>,
) -> Option<RunningPod> {
    let ip = node.addresses.take()?;
    let sources = Sources {
        client: node.client.clone(),
        pod: pod.clone(),
        pod_ip: ip.to_string(),
        host_ip: node.address.to_string(),
    };
    let volumes = Volumes {
        sources: &sources,
        pod_dir: directory.to_owned(),
        claims_dir: node.run_dir.join("claims"),
    };
    let made = async {
        let volumes = make_volumes(node, pod, &volumes).await;
        (volumes, make_network(node, pod, ip, directory).await)
    };
    let (volumes, network) = tokio::select! {
        made = made => made,
        () = orders.stop.cancelled() => {
            node.addresses.release(ip);
            return None;
        }
    };
    progress.send_modify(|progress| progress.pod_ip = Some(ip.to_string()));
    Some(RunningPod {
        node: node.clone(),
        pod: pod.clone(),
        ip,
        namespaces: network.namespaces(),
        network: Mutex::new(Some(Arc::new(network))),
        directory: directory.to_owned(),
        volumes,
        stop: orders.stop,
        latest: orders.latest,
        progress: progress.clone(),
        grace: orders.grace,
        running: Mutex::default(),
        logs: Mutex::default(),
    })
}

async fn make_network(node: &Shared, pod: &Pod, ip: Ipv4Addr, directory: &Path) -> PodNetwork {
    loop {
        let error = match connect(pod, ip, directory) {
            Ok(network) => return network,
            Err(error) => error,
        };
        let message = format!("Failed to create pod sandbox: {}", whole_message(&*error));
        node.events
            .record(pod, None, Severity::Warning, "FailedCreatePodSandBox", message);
        tokio::time::sleep(node.restart_pause).await;
    }
}

async fn make_volumes(node: &Shared, pod: &Pod, volumes: &Volumes<'_>) -> BTreeMap<String, PathBuf> {
    let mut reported = String::new();
    loop {
        let (name, error) = match volumes.make().await {
            Ok(directories) => return directories,
            Err(failed) => failed,
        };
        let message = format!(
            "MountVolume.SetUp failed for volume {name:?} : {}",
            whole_message(&error)
        );
        // a claim is bound a moment after its pod is scheduled
        if message != reported && !matches!(error, VolumeError::Unbound(_)) {
            node.events
                .record(pod, None, Severity::Warning, "FailedMount", message.clone());
            reported = message;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn connect(pod: &Pod, ip: Ipv4Addr, directory: &Path) -> Result<PodNetwork, AnyError> {
    let spec = pod.spec.as_ref();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let hostname = spec.and_then(|spec| spec.hostname.as_deref()).unwrap_or(name);
    // the kernel takes 63 characters
    let hostname: String = hostname.chars().take(63).collect();
    write_etc(pod, ip, &hostname, directory)?;
    Ok(network::create_pod(ip, &hostname)?)
}

fn write_etc(pod: &Pod, ip: Ipv4Addr, hostname: &str, directory: &Path) -> io::Result<()> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let full_name = match &spec.subdomain {
        Some(subdomain) => format!("{hostname}.{subdomain}.{namespace}.svc.cluster.local\t{hostname}"),
        None => hostname.to_owned(),
    };
    let mut hosts = format!("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n{ip}\t{full_name}\n");
    for alias in spec.host_aliases.iter().flatten() {
        let names = alias.hostnames.clone().unwrap_or_default().join("\t");
        hosts.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    let resolv = format!(
        "search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n",
        crate::dns::ADDRESS
    );
    fs::create_dir_all(directory)?;
    fs::write(directory.join("hosts"), hosts)?;
    fs::write(directory.join("resolv.conf"), resolv)?;
    fs::write(directory.join("hostname"), format!("{hostname}\n"))
}

/// Writes the pod's files anew whenever what they are made of changes. Never returns.
async fn keep_volumes(pod: &RunningPod) {
    if !changing(&pod.pod) {
        return std::future::pending().await;
    }
    let mut objects = pod.node.volume_sources.clone();
    let mut latest = pod.latest.clone();
    loop {
        let changed = tokio::select! {
            changed = objects.changed() => changed,
            changed = latest.changed() => changed,
        };
        if changed.is_err() {
            return std::future::pending().await;
        }
        let sources = pod.sources();
        let claims_dir = pod.node.run_dir.join("claims");
        let volumes = Volumes {
            sources: &sources,
            pod_dir: pod.directory.clone(),
            claims_dir,
        };
        if let Err((name, error)) = volumes.renew().await {
            let message = format!(
                "MountVolume.SetUp failed for volume {name:?} : {}",
                whole_message(&error)
            );
            pod.event(None, Severity::Warning, "FailedMount", message);
        }
    }
}

async fn run_containers(pod: &Arc<RunningPod>) {
    let spec = pod.pod.spec.clone().unwrap_or_default();
    let policy = Restart::parse(spec.restart_policy.as_deref());
    let keeper = |container, restart, stop: &CancellationToken| Keeper {
        pod: pod.clone(),
        container,
        restart,
        stop: stop.clone(),
    };
    // sidecars end last, in the reverse of the order in which they started
    let mut sidecars: Vec<(CancellationToken, JoinHandle<i32>)> = Vec::new();
    let mut initialized = true;
    for container in spec.init_containers.into_iter().flatten() {
        if status::is_sidecar(&&container) {
            let (name, stop) = (container.name.clone(), CancellationToken::new());
            sidecars.push((
                stop.clone(),
                tokio::spawn(keeper(container, Restart::Always, &stop).keep()),
            ));
            started(pod, &name).await;
        } else {
            // an init container has to succeed; whether it is tried again is the pod's policy
            let again = if policy == Restart::Never {
                Restart::Never
            } else {
                Restart::OnFailure
            };
            initialized = keeper(container, again, &pod.stop).keep().await == 0;
        }
        if !initialized || pod.stop.is_cancelled() {
            break;
        }
    }
    if initialized && !pod.stop.is_cancelled() {
        let mut containers = JoinSet::new();
        for container in spec.containers {
            containers.spawn(keeper(container, policy, &pod.stop).keep());
        }
        while containers.join_next().await.is_some() {}
    }
    for (stop, sidecar) in sidecars.into_iter().rev() {
        stop.cancel();
        let _ = sidecar.await;
    }
}

async fn started(pod: &RunningPod, container: &str) {
    let mut progress = pod.progress.subscribe();
    tokio::select! {
        _ = progress.wait_for(|progress| progress.of(container).started) => {}
        () = pod.stop.cancelled() => {}
    }
}

/// Tells the API every change of the pod's progress, the last one when the pod has `ended`.
async fn publish(
    node: Arc<Shared>,
    pod: Arc<Pod>,
    mut progress: watch::Receiver<PodProgress>,
    ended: CancellationToken,
) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(node.client.clone(), namespace);
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut known = (*pod).clone();
    loop {
        let is_last = ended.is_cancelled();
        let now = progress.borrow_and_update().clone();
        let status = status::status(&known, &now, &node.address.to_string());
        if known.status.as_ref() != Some(&status) {
            let patch = Patch::Merge(json!({"metadata": {"uid": pod.metadata.uid}, "status": status}));
            match api.patch_status(name, &PatchParams::default(), &patch).await {
                Ok(_) => known.status = Some(status),
                Err(error) => tracing::debug!(%error, name, "a pod's status was not told"),
            }
        }
        if is_last {
            return;
        }
        tokio::select! {
            _ = progress.changed() => {}
            () = ended.cancelled() => {}
        }
    }
}

/// Deletes the pod from the API for good: its processes are gone.
async fn remove(node: &Shared, pod: &Pod) {
    let api: Api<Pod> = Api::namespaced(
        node.client.clone(),
        pod.metadata.namespace.as_deref().unwrap_or_default(),
    );
    let options = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid: pod.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    if let Err(error) = api
        .delete(pod.metadata.name.as_deref().unwrap_or_default(), &options)
        .await
    {
        tracing::debug!(%error, "a pod was gone already");
    }
}
