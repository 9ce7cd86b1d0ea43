//! The containers of a pod: each started, watched, probed and started again.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::{Container, ContainerStateTerminated, LifecycleHandler},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use prefect_e2e_images::Image;
use prefect_e2e_sandbox::{ContainerSpec, Identity, Layer, Mount, container_command};
use tokio::{process::Child, sync::watch, time::Instant};

use crate::{
    environment::{EnvironmentError, Sources, expand},
    event::Severity,
    log::ContainerLog,
    pod::RunningPod,
    probe::{self, Counter, RunsCommands as _},
    security::{self, SecurityError},
    status::State,
    volume::{self, VolumeError},
};

/// The longest pause between two starts of a container that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A container that ran this long is no longer thought to fail.
const STEADY: Duration = Duration::from_secs(600);

/// What the API tells of a container that was ended before it could tell itself.
const KILLED: i32 = 137;

/// Why a container could not be configured; it waits for that to change.
#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Security(#[from] SecurityError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("cannot prepare the container")]
    Io(#[from] io::Error),
}

/// A container while it runs, as commands executed in it need it.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) pid_file: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) working_dir: PathBuf,
    pub(crate) identity: Identity,
}

/// The logs of a container: of this run and of the one before.
#[derive(Clone)]
pub(crate) struct Logs {
    pub(crate) current: Arc<ContainerLog>,
    pub(crate) previous: Option<Arc<ContainerLog>>,
    pub(crate) ended: watch::Receiver<bool>,
}

/// When a container is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Restart {
    pub(crate) fn parse(policy: Option<&str>) -> Self {
        match policy {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    fn again(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// Runs `container` until its policy says that it is done, or the pod ends. Gives the last exit code.
pub(crate) async fn keep(pod: Arc<RunningPod>, container: Container, restart: Restart) -> i32 {
    let mut pause = pod.node.restart_pause;
    loop {
        let Some(image) = pull(&pod, &container).await else { return KILLED };
        let Some(prepared) = prepare(&pod, &container, &image).await else { return KILLED };
        let begun = Instant::now();
        let terminated = run(&pod, &container, prepared).await;
        let code = terminated.exit_code;
        pod.change(&container.name, |progress| {
            progress.ready = false;
            progress.started = false;
            progress.state = State::Terminated(terminated.clone());
        });
        if pod.stop.is_cancelled() || !restart.again(code) {
            return code;
        }
        if begun.elapsed() > STEADY {
            pause = pod.node.restart_pause;
        }
        let first_restart = pod.progress().of(&container.name).restarts == 0;
        let wait = if code == 0 && first_restart { Duration::ZERO } else { pause };
        back_off(&pod, &container, wait, terminated).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if pod.stop.is_cancelled() {
            return code;
        }
    }
}

async fn back_off(
    pod: &RunningPod,
    container: &Container,
    pause: Duration,
    terminated: ContainerStateTerminated,
) {
    let name = &container.name;
    if !pause.is_zero() {
        let message = format!(
            "back-off {} restarting failed container={name} pod={}_{}({})",
            human(pause),
            pod.name(),
            pod.namespace(),
            pod.uid()
        );
        pod.event(Some(name), Severity::Warning, "BackOff", format!("Back-off restarting failed container {name} in pod {}_{}({})", pod.name(), pod.namespace(), pod.uid()));
        pod.change(name, |progress| {
            progress.last = Some(terminated.clone());
            progress.state = State::Waiting { reason: "CrashLoopBackOff", message: Some(message.clone()) };
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = pod.stop.cancelled() => return,
        }
    }
    pod.change(name, |progress| {
        progress.last = Some(terminated);
        progress.restarts += 1;
    });
}

/// A duration as Go prints it, in seconds and minutes.
fn human(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// The image of `container`, tried again until it is there; `None` when the pod ends first.
async fn pull(pod: &RunningPod, container: &Container) -> Option<Image> {
    let reference = container.image.as_deref().unwrap_or_default();
    let name = container.name.as_str();
    let mut pause = pod.node.restart_pause;
    loop {
        let begun = Instant::now();
        let pulled = tokio::select! {
            pulled = pod.node.images.pull(reference) => pulled,
            () = pod.stop.cancelled() => return None,
        };
        let error = match pulled {
            Ok(image) => {
                let message = format!("Successfully pulled image {reference:?} in {}ms", begun.elapsed().as_millis());
                pod.event(Some(name), Severity::Normal, "Pulled", message);
                pod.change(name, |progress| progress.image_id = image.id.clone());
                return Some(image);
            }
            Err(error) => error,
        };
        let message = format!("Failed to pull image {reference:?}: {error}");
        pod.event(Some(name), Severity::Warning, "Failed", message.clone());
        pod.event(Some(name), Severity::Warning, "Failed", "Error: ErrImagePull".into());
        pod.change(name, |progress| {
            progress.state = State::Waiting { reason: "ErrImagePull", message: Some(message.clone()) };
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let waiting = format!("Back-off pulling image {reference:?}: ErrImagePull: {error}");
        pod.event(Some(name), Severity::Normal, "BackOff", format!("Back-off pulling image {reference:?}"));
        pod.change(name, |progress| {
            progress.state = State::Waiting { reason: "ImagePullBackOff", message: Some(waiting.clone()) };
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = pod.stop.cancelled() => return None,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A container that is ready to be started.
struct Prepared {
    spec: ContainerSpec,
    spec_file: PathBuf,
    directory: PathBuf,
    termination_file: PathBuf,
    image_id: String,
}

async fn prepare(pod: &RunningPod, container: &Container, image: &Image) -> Option<Prepared> {
    loop {
        match configure(pod, container, image).await {
            Ok(prepared) => return Some(prepared),
            Err(error) => {
                let message = whole_message(&error);
                pod.event(Some(&container.name), Severity::Warning, "Failed", format!("Error: {message}"));
                pod.change(&container.name, |progress| {
                    progress.state =
                        State::Waiting { reason: "CreateContainerConfigError", message: Some(message.clone()) };
                });
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pod.node.restart_pause) => {}
            () = pod.stop.cancelled() => return None,
        }
    }
}

async fn configure(pod: &RunningPod, container: &Container, image: &Image) -> Result<Prepared, ConfigError> {
    let identity = security::identity(&pod.pod, container, image)?;
    let sources = Sources {
        client: &pod.node.client,
        pod: &pod.pod,
        pod_ip: pod.ip.to_string(),
        host_ip: pod.node.address.to_string(),
    };
    let env = sources.variables(container, &image.env).await?;
    let run = pod.progress().of(&container.name).restarts;
    let directory = pod.directory.join("containers").join(format!("{}-{run}", container.name));
    fs::create_dir_all(&directory)?;
    let termination_file = directory.join("termination-log");
    fs::write(&termination_file, "")?;
    fs::set_permissions(&termination_file, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;

    let mut mounts = volume::mounts(&pod.pod, container, &env, &pod.volumes)?;
    // a mount over a directory must not hide one made below it before
    mounts.sort_by_key(|mount| mount.target.components().count());
    let termination_path = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    mounts.extend(pod.etc_files().map(|(name, target)| Mount {
        source: pod.directory.join(name),
        target: target.into(),
        writable: true,
    }));
    mounts.push(Mount { source: termination_file.clone(), target: termination_path.into(), writable: true });
    let read_only = container.security_context.as_ref().and_then(|context| context.read_only_root_filesystem);
    let spec = ContainerSpec {
        root: image.root.clone(),
        layers: layers(image, &pod.node.executable),
        mounts,
        read_only_root: read_only == Some(true),
        command: command(container, image, &env),
        working_dir: container.working_dir.as_deref().map_or(image.working_dir.clone(), PathBuf::from),
        identity,
        namespaces: pod.network.namespaces(),
        pid_file: directory.join("pid"),
        error_file: directory.join("error"),
        directory: directory.join("filesystem"),
        env,
    };
    let spec_file = directory.join("spec.json");
    fs::write(&spec_file, serde_json::to_vec(&spec).map_err(io::Error::from)?)?;
    Ok(Prepared { spec, spec_file, directory, termination_file, image_id: image.id.clone() })
}

fn layers(image: &Image, executable: &Path) -> Vec<Layer> {
    let layer = |layer: &prefect_e2e_images::HostLayer| Layer {
        source: layer.source.clone().unwrap_or_else(|| executable.to_owned()),
        target: layer.target.clone(),
        merge: layer.merge,
    };
    image.layers.iter().map(layer).collect()
}

/// The program and its arguments: what the pod says goes before what the image says.
fn command(container: &Container, image: &Image, env: &[(String, String)]) -> Vec<String> {
    let given = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let (program, arguments) = match (given(&container.command), given(&container.args)) {
        (Some(program), arguments) => (program, arguments.unwrap_or_default()),
        (None, Some(arguments)) => (image.entrypoint.clone(), arguments),
        (None, None) => (image.entrypoint.clone(), image.command.clone()),
    };
    program.iter().chain(&arguments).map(|part| expand(part, env)).collect()
}

/// One run of the container, from its start to its end.
async fn run(pod: &Arc<RunningPod>, container: &Container, prepared: Prepared) -> ContainerStateTerminated {
    let name = container.name.as_str();
    let started_at = Timestamp::now();
    let mut terminated = ContainerStateTerminated {
        started_at: Some(Time(started_at)),
        container_id: Some(format!("prefect-e2e://{}", prepared.image_id)),
        ..ContainerStateTerminated::default()
    };
    let exit = start_and_wait(pod, container, &prepared, started_at).await;
    pod.running().remove(name);
    terminated.finished_at = Some(Time(Timestamp::now()));
    let reason = fs::read_to_string(&prepared.spec.error_file).ok().filter(|reason| !reason.is_empty());
    match (exit, reason) {
        (Ok(_), Some(reason)) => {
            terminated.exit_code = 128;
            terminated.reason = Some("StartError".into());
            terminated.message = Some(format!("failed to create containerd task: {reason}"));
            pod.event(Some(name), Severity::Warning, "Failed", format!("Error: {reason}"));
        }
        (Ok(code), None) => {
            terminated.exit_code = code;
            terminated.reason = Some(if code == 0 { "Completed" } else { "Error" }.into());
            terminated.message = termination_message(pod, container, &prepared, code);
        }
        (Err(error), _) => {
            terminated.exit_code = 128;
            terminated.reason = Some("StartError".into());
            terminated.message = Some(error.to_string());
        }
    }
    let _ = fs::remove_dir_all(&prepared.spec.directory);
    terminated
}

fn termination_message(
    pod: &RunningPod,
    container: &Container,
    prepared: &Prepared,
    code: i32,
) -> Option<String> {
    let written = fs::read_to_string(&prepared.termination_file).ok().filter(|text| !text.is_empty());
    let falls_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    written.or_else(|| {
        let log = pod.logs().get(&container.name).map(|logs| logs.current.clone());
        log.filter(|_| falls_back && code != 0).map(|log| log.tail(80))
    })
}

async fn start_and_wait(
    pod: &Arc<RunningPod>,
    container: &Container,
    prepared: &Prepared,
    started_at: Timestamp,
) -> io::Result<i32> {
    let name = container.name.as_str();
    let mut command: tokio::process::Command =
        container_command(&pod.node.executable, &prepared.spec_file).into();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (end, ended) = watch::channel(false);
    let log = ContainerLog::create(prepared.directory.join("log"))?;
    let previous = pod.logs().remove(name).map(|logs| logs.current);
    pod.logs().insert(name.to_owned(), Logs { current: log.clone(), previous, ended });
    let readers = [
        child.stdout.take().map(|stream| tokio::spawn(log.clone().keep(stream, "stdout"))),
        child.stderr.take().map(|stream| tokio::spawn(log.keep(stream, "stderr"))),
    ];
    pod.running().insert(name.to_owned(), Running {
        pid_file: prepared.spec.pid_file.clone(),
        env: prepared.spec.env.clone(),
        working_dir: prepared.spec.working_dir.clone(),
        identity: prepared.spec.identity.clone(),
    });
    pod.event(Some(name), Severity::Normal, "Created", format!("Created container: {name}"));
    pod.event(Some(name), Severity::Normal, "Started", format!("Started container {name}"));
    pod.change(name, |progress| {
        progress.state = State::Running { since: started_at };
        progress.started = container.startup_probe.is_none();
        progress.ready = container.readiness_probe.is_none() && container.startup_probe.is_none();
    });
    let code = attend(pod, container, &mut child, &prepared.spec.pid_file).await;
    for reader in readers.into_iter().flatten() {
        // what the container wrote last is in the pipe still
        let _ = tokio::time::timeout(Duration::from_secs(1), reader).await;
    }
    end.send_replace(true);
    code
}

/// Waits for the container's end, and brings it about when the pod ends or its liveness probe fails.
async fn attend(
    pod: &Arc<RunningPod>,
    container: &Container,
    child: &mut Child,
    pid_file: &Path,
) -> io::Result<i32> {
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.clone());
    let after_start = run_hook(pod, container, hook);
    let probes = async {
        after_start.await;
        watch_probes(pod, container).await
    };
    tokio::select! {
        exited = child.wait() => return exited.map(|status| status.code().unwrap_or(KILLED)),
        () = pod.stop.cancelled() => {}
        why = probes => {
            let name = &container.name;
            let message = format!("Container {name} failed {why} probe, will be restarted");
            pod.event(Some(name), Severity::Normal, "Killing", message);
        }
    }
    end_in_order(pod, container, child, pid_file).await
}

async fn end_in_order(
    pod: &Arc<RunningPod>,
    container: &Container,
    child: &mut Child,
    pid_file: &Path,
) -> io::Result<i32> {
    let deadline = Instant::now() + pod.grace();
    if pod.stop.is_cancelled() {
        let message = format!("Stopping container {}", container.name);
        pod.event(Some(&container.name), Severity::Normal, "Killing", message);
    }
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone());
    let _ = tokio::time::timeout_at(deadline, run_hook(pod, container, hook)).await;
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // one that has ended in the meantime needs no signal
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let exited = tokio::select! {
        exited = child.wait() => exited,
        () = tokio::time::sleep_until(deadline) => {
            match first_process(pid_file) {
                // its end takes all processes of the container with it
                Some(pid) => drop(kill(pid, Signal::SIGKILL)),
                None => child.start_kill()?,
            }
            child.wait().await
        }
    };
    exited.map(|status| status.code().unwrap_or(KILLED))
}

/// The first process of a running container.
pub(crate) fn first_process(pid_file: &Path) -> Option<Pid> {
    fs::read_to_string(pid_file).ok()?.trim().parse().ok().map(Pid::from_raw)
}

async fn run_hook(pod: &Arc<RunningPod>, container: &Container, hook: Option<LifecycleHandler>) {
    let Some(hook) = hook else { return };
    if let Some(exec) = hook.exec {
        let commands = pod.commands(&container.name);
        if let Err(error) = commands.run(&exec.command.unwrap_or_default()).await {
            tracing::debug!(%error, "a hook failed");
        }
    } else if let Some(get) = hook.http_get {
        let probe = k8s_openapi::api::core::v1::Probe { http_get: Some(get), ..Default::default() };
        let commands = pod.commands(&container.name);
        if let Err(error) = probe::attempt(&probe, container, &pod.ip.to_string(), &commands).await {
            tracing::debug!(error, "a hook failed");
        }
    } else if let Some(sleep) = hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
    }
}

/// Runs the container's probes; ends, naming the probe, when one of them wants it restarted.
async fn watch_probes(pod: &Arc<RunningPod>, container: &Container) -> &'static str {
    if let Some(probe) = &container.startup_probe {
        let mut started = false;
        if !watch_probe(pod, container, probe, "Startup", |succeeded| {
            started = succeeded;
            true
        })
        .await
        {
            return "startup";
        }
        pod.change(&container.name, |progress| {
            progress.started = true;
            progress.ready = container.readiness_probe.is_none();
        });
    }
    let readiness = async {
        if let Some(probe) = &container.readiness_probe {
            watch_probe(pod, container, probe, "Readiness", |ready| {
                pod.change(&container.name, |progress| progress.ready = ready);
                false
            })
            .await;
        }
        std::future::pending::<&'static str>().await
    };
    let liveness = async {
        if let Some(probe) = &container.liveness_probe {
            watch_probe(pod, container, probe, "Liveness", |alive| !alive).await;
            return "liveness";
        }
        std::future::pending().await
    };
    tokio::select! {
        never = readiness => never,
        failed = liveness => failed,
    }
}

/// Tries a probe again and again; `decide` is told when a threshold is reached, and says whether that
/// is enough. Gives what the threshold was reached with.
async fn watch_probe(
    pod: &Arc<RunningPod>,
    container: &Container,
    probe: &k8s_openapi::api::core::v1::Probe,
    title: &'static str,
    mut decide: impl FnMut(bool) -> bool,
) -> bool {
    tokio::time::sleep(probe::initial_delay(probe)).await;
    let mut ticks = tokio::time::interval(probe::period(probe));
    let mut counter = Counter::new(probe);
    let commands = pod.commands(&container.name);
    loop {
        ticks.tick().await;
        let attempt = probe::attempt(probe, container, &pod.ip.to_string(), &commands).await;
        if let Err(reason) = &attempt {
            let message = format!("{title} probe failed: {reason}");
            pod.event(Some(&container.name), Severity::Warning, "Unhealthy", message);
        }
        if let Some(reached) = counter.count(attempt.is_ok())
            && decide(reached)
        {
            return reached;
        }
    }
}

/// The message of an error and of all that caused it.
pub(crate) fn whole_message(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(json!({}), &["entry", "default"])]
    #[case(json!({"args": ["own"]}), &["entry", "own"])]
    #[case(json!({"command": ["other"]}), &["other"])]
    #[case(json!({"command": ["other"], "args": ["$(X)"]}), &["other", "value"])]
    fn the_pods_command_goes_before_the_images(#[case] container: Value, #[case] expected: &[&str]) {
        let mut container = container;
        container["name"] = "c".into();
        let container: Container = serde_json::from_value(container).unwrap();
        let image = Image {
            reference: String::new(),
            id: String::new(),
            root: "/".into(),
            layers: Vec::new(),
            env: Vec::new(),
            working_dir: "/".into(),
            user: 0,
            group: 0,
            entrypoint: vec!["entry".into()],
            command: vec!["default".into()],
        };
        assert_eq!(command(&container, &image, &[("X".into(), "value".into())]), expected);
    }

    #[rstest]
    #[case(Restart::Always, 0, true)]
    #[case(Restart::OnFailure, 0, false)]
    #[case(Restart::OnFailure, 1, true)]
    #[case(Restart::Never, 1, false)]
    fn the_policy_decides_on_another_start(#[case] policy: Restart, #[case] code: i32, #[case] again: bool) {
        assert_eq!(policy.again(code), again);
    }

    #[test]
    fn pauses_read_as_in_kubernetes() {
        assert_eq!(human(Duration::from_secs(10)), "10s");
        assert_eq!(human(Duration::from_secs(160)), "2m40s");
    }
}
