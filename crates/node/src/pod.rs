//! One pod of the node, from the moment it is bound to the moment it is gone.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use prefect_e2e_sandbox::network::{self, PodNetwork};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    containers::{self, Logs, Restart, Running, whole_message},
    environment::Sources,
    event::Severity,
    kubelet::Commands,
    node::Shared,
    status::{self, ContainerProgress, PodProgress},
    volume::{VolumeError, Volumes},
};

/// How long the node waits before it looks again for what a volume needs.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A pod whose volumes and network are there.
pub(crate) struct RunningPod {
    pub(crate) node: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) ip: Ipv4Addr,
    pub(crate) network: PodNetwork,
    pub(crate) directory: PathBuf,
    pub(crate) volumes: BTreeMap<String, PathBuf>,
    /// Cancelled when the pod is to end.
    pub(crate) stop: CancellationToken,
    progress: Arc<watch::Sender<PodProgress>>,
    grace: watch::Receiver<Duration>,
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
        self.node.events.record(&self.pod, container, severity, reason, message);
    }

    /// The time that the pod's containers get to end.
    pub(crate) fn grace(&self) -> Duration {
        *self.grace.borrow()
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn logs(&self) -> MutexGuard<'_, HashMap<String, Logs>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs commands in a container, for probes and hooks.
    pub(crate) fn commands(self: &Arc<Self>, container: &str) -> Commands {
        Commands { pod: self.clone(), container: container.to_owned() }
    }

    /// The files of `/etc` that the node writes for the pod.
    pub(crate) fn etc_files(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        [("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname")].into_iter()
    }
}

/// What the node tells the task of a pod.
pub(crate) struct PodControl {
    pub(crate) stop: CancellationToken,
    pub(crate) grace: watch::Sender<Duration>,
}

/// Runs `pod` until it is deleted. `register` makes it known to whoever asks for logs and commands.
pub(crate) async fn run(
    node: Arc<Shared>,
    pod: Arc<Pod>,
    stop: CancellationToken,
    grace: watch::Receiver<Duration>,
    register: impl FnOnce(Arc<RunningPod>) + Send,
) {
    let progress = Arc::new(watch::Sender::new(PodProgress {
        start_time: Some(Timestamp::now()),
        ..PodProgress::default()
    }));
    let ended = CancellationToken::new();
    let publisher = tokio::spawn(publish(node.clone(), pod.clone(), progress.subscribe(), ended.clone()));
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let directory = node.run_dir.join("pods").join(&uid);
    if let Some(running) = set_up(&node, &pod, &directory, &stop, grace, &progress).await {
        let running = Arc::new(running);
        register(running.clone());
        run_containers(&running).await;
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
    directory: &PathBuf,
    stop: &CancellationToken,
    grace: watch::Receiver<Duration>,
    progress: &Arc<watch::Sender<PodProgress>>,
) -> Option<RunningPod> {
    let ip = node.addresses.take()?;
    let sources = Sources {
        client: &node.client,
        pod,
        pod_ip: ip.to_string(),
        host_ip: node.address.to_string(),
    };
    let volumes = Volumes { sources: &sources, pod_dir: directory.clone(), claims_dir: node.run_dir.join("claims") };
    let volumes = tokio::select! {
        volumes = make_volumes(node, pod, &volumes) => volumes,
        () = stop.cancelled() => {
            node.addresses.release(ip);
            return None;
        }
    };
    loop {
        match connect(pod, ip, directory) {
            Ok(network) => {
                progress.send_modify(|progress| progress.pod_ip = Some(ip.to_string()));
                return Some(RunningPod {
                    node: node.clone(),
                    pod: pod.clone(),
                    ip,
                    network,
                    directory: directory.clone(),
                    volumes,
                    stop: stop.clone(),
                    progress: progress.clone(),
                    grace,
                    running: Mutex::default(),
                    logs: Mutex::default(),
                });
            }
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {}", whole_message(&*error));
                node.events.record(pod, None, Severity::Warning, "FailedCreatePodSandBox", message);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(node.restart_pause) => {}
            () = stop.cancelled() => {
                node.addresses.release(ip);
                return None;
            }
        }
    }
}

async fn make_volumes(node: &Shared, pod: &Pod, volumes: &Volumes<'_>) -> BTreeMap<String, PathBuf> {
    let mut reported = String::new();
    loop {
        let (name, error) = match volumes.make().await {
            Ok(directories) => return directories,
            Err(failed) => failed,
        };
        let message = format!("MountVolume.SetUp failed for volume {name:?} : {}", whole_message(&error));
        // a claim is bound a moment after its pod is scheduled
        if message != reported && !matches!(error, VolumeError::Unbound(_)) {
            node.events.record(pod, None, Severity::Warning, "FailedMount", message.clone());
            reported = message;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn connect(pod: &Pod, ip: Ipv4Addr, directory: &PathBuf) -> Result<PodNetwork, AnyError> {
    let spec = pod.spec.as_ref();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let hostname = spec.and_then(|spec| spec.hostname.as_deref()).unwrap_or(name);
    // the kernel takes 63 characters
    let hostname: String = hostname.chars().take(63).collect();
    write_etc(pod, ip, &hostname, directory)?;
    Ok(network::create_pod(ip, &hostname)?)
}

fn write_etc(pod: &Pod, ip: Ipv4Addr, hostname: &str, directory: &PathBuf) -> io::Result<()> {
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

async fn run_containers(pod: &Arc<RunningPod>) {
    let spec = pod.pod.spec.clone().unwrap_or_default();
    let policy = Restart::parse(spec.restart_policy.as_deref());
    let mut tasks = JoinSet::new();
    for container in spec.init_containers.into_iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            let name = container.name.clone();
            tasks.spawn(containers::keep(pod.clone(), container, Restart::Always));
            started(pod, &name).await;
            continue;
        }
        // an init container has to succeed; whether it is tried again is the pod's policy
        let again = if policy == Restart::Never { Restart::Never } else { Restart::OnFailure };
        let code = containers::keep(pod.clone(), container, again).await;
        if code != 0 {
            break;
        }
    }
    let init_done = || {
        let progress = pod.progress();
        let status = status::status(&pod.pod, &progress, "");
        status.conditions.iter().flatten().any(|one| one.type_ == "Initialized" && one.status == "True")
    };
    if init_done() && !pod.stop.is_cancelled() {
        for container in spec.containers {
            tasks.spawn(containers::keep(pod.clone(), container, policy));
        }
    }
    while tasks.join_next().await.is_some() {}
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
    let api: Api<Pod> =
        Api::namespaced(node.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
    let options = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    if let Err(error) = api.delete(pod.metadata.name.as_deref().unwrap_or_default(), &options).await {
        tracing::debug!(%error, "a pod was gone already");
    }
}
