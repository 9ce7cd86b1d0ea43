//! Requests about running pods: logs, commands, forwarded ports.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use prefect_e2e_api_server::{
    Duplex, ExecOptions, ExecSession, Kubelet, KubeletError, LogOptions, LogStream,
};
use prefect_e2e_sandbox::{ExecSpec, Terminal, exec_command};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use crate::{
    containers::{Running, first_process},
    node::Node,
    pod::RunningPod,
    probe::RunsCommands,
};

#[async_trait]
impl Kubelet for Node {
    async fn logs(&self, namespace: &str, pod: &str, options: LogOptions) -> Result<LogStream, KubeletError> {
        let pod = self.find(namespace, pod)?;
        let name = container_name(&pod, options.container.as_deref())?;
        let logs = pod.logs().get(&name).cloned().ok_or_else(|| {
            KubeletError::BadRequest(format!(
                "container {name:?} in pod {:?} is waiting to start: {}",
                pod.name(),
                waiting_reason(&pod, &name)
            ))
        })?;
        let log = if options.previous {
            logs.previous.ok_or_else(|| {
                KubeletError::BadRequest(format!(
                    "previous terminated container {name:?} in pod {:?} not found",
                    pod.name()
                ))
            })?
        } else {
            logs.current
        };
        log.read(&options, logs.ended)
            .map_err(|source| KubeletError::Io { context: "cannot read the log".into(), source })
    }

    async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<ExecSession, KubeletError> {
        let pod = self.find(namespace, pod)?;
        let name = container_name(&pod, options.container.as_deref())?;
        start(&pod, &name, &options)
    }

    async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn Duplex>, KubeletError> {
        let pod = self.find(namespace, pod)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |source: io::Error| KubeletError::Io {
            context: format!("failed to connect to localhost:{port} inside namespace of pod {:?}", pod.name()),
            source,
        };
        let inside = pod.clone();
        // connecting within the node does not wait for a network: it is there or refused
        let connection = tokio::task::spawn_blocking(move || {
            inside.network.run(|| {
                let connection = std::net::TcpStream::connect(address)?;
                connection.set_nonblocking(true)?;
                Ok(connection)
            })
        })
        .await
        .map_err(|error| failed(error.into()))?;
        let connection = connection.and_then(TcpStream::from_std).map_err(failed)?;
        Ok(Box::new(connection))
    }
}

impl Node {
    fn find(&self, namespace: &str, name: &str) -> Result<Arc<RunningPod>, KubeletError> {
        let pods = self.pods();
        let mut found = pods.values().filter(|pod| pod.namespace() == namespace && pod.name() == name);
        // a pod of that name that still ends must not hide the one that follows it
        let pod = found.clone().find(|pod| !pod.stop.is_cancelled()).or_else(|| found.next());
        pod.cloned().ok_or_else(|| {
            KubeletError::BadRequest(format!("pod {name:?} has no running containers yet: ContainerCreating"))
        })
    }
}

fn waiting_reason(pod: &RunningPod, container: &str) -> &'static str {
    match pod.progress().of(container).state {
        crate::status::State::Waiting { reason, .. } => reason,
        _ => "ContainerCreating",
    }
}

/// The container asked for, or the pod's only one.
fn container_name(pod: &RunningPod, asked: Option<&str>) -> Result<String, KubeletError> {
    let spec = pod.pod.spec.as_ref();
    let names: Vec<&str> = spec
        .iter()
        .flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
        .map(|container| container.name.as_str())
        .collect();
    match asked {
        Some(name) if names.contains(&name) => Ok(name.to_owned()),
        Some(name) => Err(KubeletError::BadRequest(format!(
            "container {name} is not valid for pod {}: known are {}",
            pod.name(),
            names.join(", ")
        ))),
        None => Ok((*names.first().unwrap_or(&"")).to_owned()),
    }
}

fn start(pod: &Arc<RunningPod>, container: &str, options: &ExecOptions) -> Result<ExecSession, KubeletError> {
    let running = pod.running().get(container).cloned();
    let running = running.ok_or_else(|| {
        KubeletError::BadRequest(format!("container {container:?} of pod {:?} is not running", pod.name()))
    })?;
    let failed =
        |source: io::Error| KubeletError::Io { context: "cannot start the command".into(), source };
    let spec_file = write_spec(pod, &running, options).map_err(failed)?;
    let mut command = exec_command(&pod.node.executable, &spec_file);
    let session = if options.tty {
        start_with_terminal(command, spec_file)
    } else {
        let stream = |wanted| if wanted { Stdio::piped() } else { Stdio::null() };
        command.stdin(stream(options.stdin)).stdout(stream(options.stdout)).stderr(stream(options.stderr));
        start_with_pipes(command.into(), spec_file)
    };
    session.map_err(failed)
}

fn write_spec(pod: &RunningPod, running: &Running, options: &ExecOptions) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let pid = first_process(&running.pid_file).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut env = running.env.clone();
    if options.tty && !env.iter().any(|(name, _)| name == "TERM") {
        env.push(("TERM".into(), "xterm".into()));
    }
    let spec = ExecSpec {
        container_pid: pid.as_raw(),
        command: options.command.clone(),
        env,
        working_dir: running.working_dir.clone(),
        identity: running.identity.clone(),
        terminal: options.tty,
    };
    let path = pod.directory.join(format!("exec-{}.json", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&path, serde_json::to_vec(&spec)?)?;
    Ok(path)
}

fn start_with_pipes(mut command: tokio::process::Command, spec_file: PathBuf) -> io::Result<ExecSession> {
    let mut child = command.kill_on_drop(true).spawn()?;
    Ok(ExecSession {
        stdin: child.stdin.take().map(|stream| Box::new(stream) as _),
        stdout: child.stdout.take().map(|stream| Box::new(stream) as _),
        stderr: child.stderr.take().map(|stream| Box::new(stream) as _),
        resize: None,
        exit: Box::pin(exit_of(child, spec_file)),
    })
}

fn start_with_terminal(mut command: std::process::Command, spec_file: PathBuf) -> io::Result<ExecSession> {
    let terminal = Terminal::open()?;
    let [stdin, stdout, stderr] = terminal.stdio()?;
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let child = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
    let (input, output) = (terminal.user_end()?, terminal.user_end()?);
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(4);
    tokio::spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            if terminal.resize(columns, rows).is_err() {
                return;
            }
        }
    });
    Ok(ExecSession {
        stdin: Some(Box::new(tokio::fs::File::from_std(input))),
        stdout: Some(Box::new(tokio::fs::File::from_std(output))),
        stderr: None,
        resize: Some(resize),
        exit: Box::pin(exit_of(child, spec_file)),
    })
}

async fn exit_of(mut child: tokio::process::Child, spec_file: PathBuf) -> io::Result<i32> {
    let status = child.wait().await;
    let _ = fs::remove_file(spec_file);
    Ok(status?.code().unwrap_or(137))
}

/// Runs commands in one container of a pod.
pub(crate) struct Commands {
    pub(crate) pod: Arc<RunningPod>,
    pub(crate) container: String,
}

#[async_trait]
impl RunsCommands for Commands {
    async fn run(&self, command: &[String]) -> io::Result<(i32, String)> {
        let options = ExecOptions {
            command: command.to_vec(),
            stdout: true,
            stderr: true,
            ..ExecOptions::default()
        };
        let session = start(&self.pod, &self.container, &options).map_err(io::Error::other)?;
        let (mut output, mut errors) = (String::new(), String::new());
        let read_output = async {
            if let Some(mut stream) = session.stdout {
                let _ = stream.read_to_string(&mut output).await;
            }
        };
        let read_errors = async {
            if let Some(mut stream) = session.stderr {
                let _ = stream.read_to_string(&mut errors).await;
            }
        };
        let (exit, (), ()) = tokio::join!(session.exit, read_output, read_errors);
        if let Some(mut stdin) = session.stdin {
            let _ = stdin.shutdown().await;
        }
        Ok((exit?, output + &errors))
    }
}
