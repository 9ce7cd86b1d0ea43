//! One pod of the node, from the moment it is bound to the moment it is gone.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
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
use prefect_e2e_sandbox::{Namespaces, network::PodNetwork};
use serde_json::json;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    container::{Keeper, Logs, Restart, Running, whole_message},
    environment::Sources,
    event::Severity,
    kubelet::Commands,
    node::Shared,
    orders::{Ending, Grace, PodOrders},
    pod_network::make_network,
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
        Ending::new(self.grace.clone(), own)
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
        orders.latest.clone(),
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

/// Ends the containers of a pod that has run for longer than it may.
async fn end_overdue(pod: Arc<RunningPod>, deadline: Duration, stop: CancellationToken) {
    tokio::time::sleep(deadline).await;
    pod.event(
        None,
        Severity::Normal,
        status::OVERDUE,
        status::OVERDUE_MESSAGE.to_owned(),
    );
    pod.progress.send_modify(|progress| progress.is_overdue = true);
    stop.cancel();
}

async fn run_containers(pod: &Arc<RunningPod>) {
    let spec = pod.pod.spec.clone().unwrap_or_default();
    let end = pod.stop.child_token();
    let mut overdue = JoinSet::new();
    if let Some(seconds) = spec
        .active_deadline_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
    {
        overdue.spawn(end_overdue(
            pod.clone(),
            Duration::from_secs(seconds),
            end.clone(),
        ));
    }
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
            started(pod, &name, &end).await;
        } else {
            // an init container has to succeed; whether it is tried again is the pod's policy
            let again = if policy == Restart::Never {
                Restart::Never
            } else {
                Restart::OnFailure
            };
            initialized = keeper(container, again, &end).keep().await == 0;
        }
        if !initialized || end.is_cancelled() {
            break;
        }
    }
    if initialized && !end.is_cancelled() {
        let mut containers = JoinSet::new();
        for container in spec.containers {
            containers.spawn(keeper(container, policy, &end).keep());
        }
        while containers.join_next().await.is_some() {}
    }
    for (stop, sidecar) in sidecars.into_iter().rev() {
        stop.cancel();
        let _ = sidecar.await;
    }
}

async fn started(pod: &RunningPod, container: &str, end: &CancellationToken) {
    let mut progress = pod.progress.subscribe();
    tokio::select! {
        _ = progress.wait_for(|progress| progress.of(container).started) => {}
        () = end.cancelled() => {}
    }
}

/// Tells the API every change of the pod's progress, the last one when the pod has `ended`.
async fn publish(
    node: Arc<Shared>,
    mut latest: watch::Receiver<Arc<Pod>>,
    mut progress: watch::Receiver<PodProgress>,
    ended: CancellationToken,
) {
    let mut known = (**latest.borrow()).clone();
    let namespace = known.metadata.namespace.clone().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(node.client.clone(), &namespace);
    let name = known.metadata.name.clone().unwrap_or_default();
    let mut is_gone = false;
    loop {
        let is_last = ended.is_cancelled();
        let now = progress.borrow_and_update().clone();
        let foreign = status::foreign_conditions(&latest.borrow_and_update());
        let status = status::status(&known, &foreign, &now, &node.address.to_string());
        if known.status.as_ref() != Some(&status) {
            let patch = Patch::Merge(json!({"metadata": {"uid": known.metadata.uid}, "status": status}));
            match api.patch_status(&name, &PatchParams::default(), &patch).await {
                Ok(_) => known.status = Some(status),
                Err(error) => tracing::debug!(%error, name, "a pod's status was not told"),
            }
        }
        if is_last {
            return;
        }
        tokio::select! {
            _ = progress.changed() => {}
            changed = latest.changed(), if !is_gone => is_gone = changed.is_err(),
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
