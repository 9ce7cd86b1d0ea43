//! The namespaces that the whole node lives in: its processes, mounts and networks end with it.

use std::{
    io,
    net::TcpListener,
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::stat::Mode,
    unistd::geteuid,
};

use crate::{
    error::{Context as _, SandboxError, whole_message},
    mount, process,
};

/// The hidden argument of the node's processes.
pub(crate) const ARGUMENT: &str = "__node";

/// Where the node's temporary filesystem is mounted: a directory that every system has, that the node
/// itself does not need, and that never holds what a user keeps.
const RUN_DIR: &str = "/sys";

/// What the node's process is given.
pub struct NodeContext {
    /// The listener of the API server, in the host's network.
    pub listener: TcpListener,
    /// The connection to the process that started the node.
    pub control: UnixStream,
    /// An empty directory, gone with the node.
    pub run_dir: PathBuf,
}

/// The node's outermost process, seen from the host.
pub struct NodeProcess {
    child: Child,
}

impl NodeProcess {
    /// Starts `executable` again as a node; its `main` calls [`crate::dispatch`].
    ///
    /// The node ends when the other end of `control` is closed, or when this process ends.
    ///
    /// # Errors
    /// When the process cannot be started. That it cannot make its namespaces is told on standard
    /// error and by the end of `control`.
    pub fn spawn(
        executable: &Path,
        listener: TcpListener,
        control: UnixStream,
    ) -> Result<Self, SandboxError> {
        let control: std::os::fd::OwnedFd = control.into();
        let listener: std::os::fd::OwnedFd = listener.into();
        // descriptors that are passed as streams reach this one process and no other
        let child = Command::new(executable)
            .arg(ARGUMENT)
            .stdin(Stdio::from(control))
            .stdout(Stdio::from(listener))
            .spawn()
            .trying(|| format!("cannot start {}", executable.display()))?;
        Ok(Self { child })
    }

    /// Its process identifier.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the node at once.
    pub fn kill(&mut self) {
        // one that has ended already needs no signal
        let _ = self.child.kill();
    }

    /// Waits until the node and all its processes are gone.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn wait(&mut self) -> io::Result<()> {
        self.child.wait().map(drop)
    }
}

/// The outer process: makes the namespaces and waits for the first process in them.
pub(crate) fn main(run: fn(NodeContext) -> ExitCode) -> i32 {
    let enter = || {
        process::die_with_parent()?;
        make_namespaces()?;
        let first = process::fork_into(|| first(run))?;
        let_go_of_streams()?;
        process::supervise(first, first, false)
    };
    enter().unwrap_or_else(|error| fail(&error))
}

/// The first process in the namespaces: starts the node, and collects the processes that lose their parents.
///
/// One that is not collected keeps its container from ending: the kernel ends the first process of a pid
/// namespace only when all others are gone.
fn first(run: fn(NodeContext) -> ExitCode) -> i32 {
    let start = || {
        let context = prepare()?;
        let node = process::fork_into(|| match process::die_with_parent() {
            Ok(()) => i32::from(run(context) != ExitCode::SUCCESS),
            Err(error) => fail(&error),
        })?;
        let_go_of_streams()?;
        process::supervise(node, node, true)
    };
    start().unwrap_or_else(|error| fail(&error))
}

/// Nothing of the host's stays open here: its peer must see the end when the node ends.
fn let_go_of_streams() -> Result<(), SandboxError> {
    let null = std::fs::File::open("/dev/null").trying(|| "cannot open /dev/null".into())?;
    nix::unistd::dup2_stdin(&null).trying(|| "cannot leave the control socket".into())?;
    nix::unistd::dup2_stdout(&null).trying(|| "cannot leave the listener".into())
}

fn fail(error: &SandboxError) -> i32 {
    eprintln!("prefect-e2e: {}", whole_message(error));
    1
}

fn make_namespaces() -> Result<(), SandboxError> {
    let kinds = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    // root of a container may lack the right; then it is treated as an ordinary user
    if geteuid().is_root() && unshare(kinds).is_ok() {
        return Ok(());
    }
    process::enter_user_namespace(0, 0)?;
    unshare(kinds).trying(|| "cannot make the node's namespaces".into())
}

fn prepare() -> Result<NodeContext, SandboxError> {
    process::die_with_parent()?;
    // what the node makes is for pods' users to read, whatever the user's own files are
    nix::sys::stat::umask(Mode::S_IWGRP | Mode::S_IWOTH);
    nix::unistd::sethostname("prefect-e2e").trying(|| "cannot name the node".into())?;
    mount::make_private()?;
    mount::proc(Path::new("/proc"))?;
    mount::tmpfs(Path::new(RUN_DIR), "mode=0755")?;
    let control = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .trying(|| "no control socket".into())?;
    let listener = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .trying(|| "no listener".into())?;
    Ok(NodeContext {
        listener: listener.into(),
        control: control.into(),
        run_dir: RUN_DIR.into(),
    })
}
