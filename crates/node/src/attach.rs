//! The streams of a container's own program, for those who attach to it later.

use std::{io, process::Stdio, sync::Arc};

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Container;
use prefect_e2e_api_server::{ExecOptions, ExecSession};
use prefect_e2e_sandbox::Terminal;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream},
    process::{Child, Command},
    sync::{Mutex, broadcast, mpsc, watch},
};

use crate::log::ContainerLog;

/// How much may be on its way to or from a program.
const BUFFER: usize = 64 << 10;

type Output = Box<dyn AsyncRead + Send + Unpin>;

/// The streams of a program while it runs.
#[derive(Clone)]
pub(crate) struct ProgramStreams {
    log: Arc<ContainerLog>,
    ended: watch::Receiver<bool>,
    input: Option<Arc<Input>>,
    terminal: Option<Arc<Terminal>>,
}

/// The input of a program, which may be attached to several times.
struct Input {
    pipe: Mutex<Option<Box<dyn AsyncWrite + Send + Unpin>>>,
    /// Whether the input ends with the first one who was attached to it.
    once: bool,
}

/// A program that was started with its streams at hand.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) outputs: Vec<(Output, &'static str)>,
    input: Option<Arc<Input>>,
    terminal: Option<Arc<Terminal>>,
}

/// Starts `command` with the streams that `container` asks for.
pub(crate) fn start(mut command: std::process::Command, container: &Container) -> io::Result<Started> {
    let wants_input = container.stdin == Some(true);
    let once = container.stdin_once == Some(true);
    let input_of = |pipe| {
        Arc::new(Input {
            pipe: Mutex::new(Some(pipe)),
            once,
        })
    };
    if container.tty == Some(true) {
        let (terminal, [stdin, stdout, stderr]) = Terminal::open()?;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let child = Command::from(command).spawn()?;
        let output: Output = Box::new(tokio::fs::File::from_std(terminal.user_end()?));
        let input = tokio::fs::File::from_std(terminal.user_end()?);
        return Ok(Started {
            child,
            outputs: vec![(output, "stdout")],
            input: wants_input.then(|| input_of(Box::new(input))),
            terminal: Some(Arc::new(terminal)),
        });
    }
    let stdin = if wants_input {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Command::from(command).spawn()?;
    let stdout = child
        .stdout
        .take()
        .map(|stream| (Box::new(stream) as Output, "stdout"));
    let stderr = child
        .stderr
        .take()
        .map(|stream| (Box::new(stream) as Output, "stderr"));
    let input = child.stdin.take().map(|stdin| input_of(Box::new(stdin)));
    Ok(Started {
        child,
        outputs: stdout.into_iter().chain(stderr).collect(),
        input,
        terminal: None,
    })
}

impl Started {
    /// The streams for those who attach; what the program writes goes through `log`.
    pub(crate) fn streams(&self, log: Arc<ContainerLog>, ended: watch::Receiver<bool>) -> ProgramStreams {
        ProgramStreams {
            log,
            ended,
            input: self.input.clone(),
            terminal: self.terminal.clone(),
        }
    }
}

impl ProgramStreams {
    /// Connects to the program: what it writes from now on, and its input.
    ///
    /// # Errors
    /// When it has no input or no terminal but is asked for one.
    pub(crate) fn attach(&self, options: &ExecOptions) -> Result<ExecSession, String> {
        if options.tty && self.terminal.is_none() {
            return Err("unable to use a TTY: the container did not allocate one".into());
        }
        let (stdout, stderr) = (self.output("stdout"), self.output("stderr"));
        Ok(ExecSession {
            stdin: if options.stdin {
                self.input.clone().map(attach_input)
            } else {
                None
            },
            stdout: options.stdout.then_some(stdout),
            stderr: (options.stderr && self.terminal.is_none()).then_some(stderr),
            resize: self.terminal.clone().map(resize),
            exit: self.exit(),
        })
    }

    fn output(&self, name: &'static str) -> Output {
        let (near, far) = tokio::io::duplex(BUFFER);
        tokio::spawn(pass_pieces(self.log.pieces(), name, self.ended.clone(), far));
        Box::new(near)
    }

    /// Attaching ends well with the program, whatever its exit code.
    fn exit(&self) -> BoxFuture<'static, io::Result<i32>> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            // the sender goes with the program
            let _ = ended.wait_for(|ended| *ended).await;
            Ok(0)
        })
    }
}

/// Applies new sizes to `terminal` as they come.
pub(crate) fn resize(terminal: Arc<Terminal>) -> mpsc::Sender<(u16, u16)> {
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(4);
    tokio::spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            if terminal.resize(columns, rows).is_err() {
                return;
            }
        }
    });
    resize
}

fn attach_input(input: Arc<Input>) -> Box<dyn AsyncWrite + Send + Unpin> {
    let (near, mut far) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        let mut pipe = input.pipe.lock().await;
        if let Some(pipe) = &mut *pipe {
            // either end may be gone
            let _ = tokio::io::copy(&mut far, pipe).await;
        }
        if input.once {
            *pipe = None;
        }
    });
    Box::new(near)
}

async fn pass_pieces(
    mut pieces: broadcast::Receiver<(&'static str, bytes::Bytes)>,
    name: &'static str,
    mut ended: watch::Receiver<bool>,
    mut far: DuplexStream,
) {
    loop {
        let piece = tokio::select! {
            biased;
            piece = pieces.recv() => piece,
            _ = ended.wait_for(|ended| *ended) => return,
        };
        match piece {
            Ok((stream, bytes)) if stream == name => {
                if far.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            // a reader that is too slow misses a part
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
