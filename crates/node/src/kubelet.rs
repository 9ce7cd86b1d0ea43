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
};

use crate::{attach, container::Running, node::Node, pod::RunningPod, probe::RunsCommands};

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
        log.read(&options, logs.ended).map_err(|source| KubeletError::Io {
            context: "cannot read the log".into(),
            source,
        })
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

    async fn attach(
        &self,
        namespace: &str,
        pod: &str,
        options: ExecOptions,
    ) -> Result<ExecSession, KubeletError> {
        let pod = self.find(namespace, pod)?;
        let name = container_name(&pod, options.container.as_deref())?;
        running(&pod, &name)?
            .streams
            .attach(&options)
            .map_err(KubeletError::BadRequest)
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
            context: format!(
                "failed to connect to localhost:{port} inside namespace of pod {:?}",
                pod.name()
            ),
            source,
        };
        let inside = pod.clone();
        // connecting within the node does not wait for a network: it is there or refused
        let connection = tokio::task::spawn_blocking(move || {
            let network = inside
                .network()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            network.run(|| {
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
        let mut found = pods
            .values()
            .filter(|pod| pod.namespace() == namespace && pod.name() == name);
        // a pod of that name that still ends must not hide the one that follows it
        let pod = found
            .clone()
            .find(|pod| !pod.stop.is_cancelled())
            .or_else(|| found.next());
        pod.cloned().ok_or_else(|| {
            KubeletError::BadRequest(format!("pod {name:?} is waiting to start: ContainerCreating"))
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
        .flat_map(|spec| {
            spec.containers
                .iter()
                .chain(spec.init_containers.iter().flatten())
        })
        .map(|container| container.name.as_str())
        .collect();
    let own = spec.map_or(&[][..], |spec| spec.containers.as_slice());
    match (asked, own) {
        (Some(name), _) if names.contains(&name) => Ok(name.to_owned()),
        (Some(name), _) => Err(KubeletError::BadRequest(format!(
            "container {name} is not valid for pod {}",
            pod.name()
        ))),
        (None, [only]) => Ok(only.name.clone()),
        (None, _) => Err(KubeletError::BadRequest(format!(
            "a container name must be specified for pod {}, choose one of: [{}]",
            pod.name(),
            names.join(" ")
        ))),
    }
}

fn running(pod: &RunningPod, container: &str) -> Result<Running, KubeletError> {
    pod.running().get(container).cloned().ok_or_else(|| {
        KubeletError::BadRequest(format!(
            "container {container:?} of pod {:?} is not running",
            pod.name()
        ))
    })
}

fn start(pod: &Arc<RunningPod>, container: &str, options: &ExecOptions) -> Result<ExecSession, KubeletError> {
    let running = running(pod, container)?;
    let failed = |source: io::Error| KubeletError::Io {
        context: "cannot start the command".into(),
        source,
    };
    let spec_file = write_spec(pod, &running, options).map_err(failed)?;
    let mut command = exec_command(&pod.node.executable, &spec_file);
    let session = if options.tty {
        start_with_terminal(command, spec_file)
    } else {
        let stream = |wanted| if wanted { Stdio::piped() } else { Stdio::null() };
        command
            .stdin(stream(options.stdin))
            .stdout(stream(options.stdout))
            .stderr(stream(options.stderr));
        start_with_pipes(command.into(), spec_file)
    };
    session.map_err(failed)
}

fn write_spec(pod: &RunningPod, running: &Running, options: &ExecOptions) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut env = running.env.clone();
    if options.tty && !env.iter().any(|(name, _)| name == "TERM") {
        env.push(("TERM".into(), "xterm".into()));
    }
    let spec = ExecSpec {
        container_pid: running.pid,
        command: options.command.clone(),
        env,
        working_dir: running.working_dir.clone(),
        identity: running.identity.clone(),
        terminal: options.tty,
    };
    let path = pod
        .directory
        .join(format!("exec-{}.json", COUNT.fetch_add(1, Ordering::Relaxed)));
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
    let (terminal, [stdin, stdout, stderr]) = Terminal::open()?;
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()?;
    let (input, output) = (terminal.user_end()?, terminal.user_end()?);
    Ok(ExecSession {
        stdin: Some(Box::new(tokio::fs::File::from_std(input))),
        stdout: Some(Box::new(tokio::fs::File::from_std(output))),
        stderr: None,
        resize: Some(attach::resize(Arc::new(terminal))),
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
