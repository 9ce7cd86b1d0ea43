//! A program in a container that runs already.

use std::{
    fs::File,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use nix::{
    sched::{CloneFlags, setns},
    unistd::{Pid, chdir},
};
use serde::{Deserialize, Serialize};

use crate::{
    container::{become_user, execute, read},
    error::{Context as _, SandboxError, whole_message},
    process::{self, CANNOT_START},
    spec::Identity,
    terminal,
};

/// A program to run in a running container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecSpec {
    /// The container's first process, as the node sees it.
    pub container_pid: i32,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Where the program starts.
    pub working_dir: PathBuf,
    /// As whom it runs.
    pub identity: Identity,
    /// Whether its standard input is a terminal for it to control.
    pub terminal: bool,
}

/// Gives the program's exit code; 126 when it cannot be executed, as shells do.
pub(crate) fn main(spec: &Path) -> i32 {
    const CANNOT_EXECUTE: i32 = 126;
    let run = || {
        let spec: ExecSpec = read(spec)?;
        process::die_with_parent()?;
        enter(Pid::from_raw(spec.container_pid))?;
        let child = process::fork_into(|| match become_program(&spec) {
            Ok(never) => match never {},
            Err(error) => {
                eprintln!("{}", whole_message(&error));
                CANNOT_EXECUTE
            }
        })?;
        process::supervise(child, child, false)
    };
    run().unwrap_or_else(|error: SandboxError| {
        eprintln!("prefect-e2e: {}", whole_message(&error));
        CANNOT_START
    })
}

/// Enters the namespaces of the container, all but its user's: that is taken as the container took it.
fn enter(container: Pid) -> Result<(), SandboxError> {
    let kinds = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let open = |name: &str| {
        let path = format!("/proc/{container}/ns/{name}");
        File::open(&path).trying(|| "the container is not running".into())
    };
    let files = kinds
        .iter()
        .map(|(name, kind)| Ok((open(name)?, *kind)))
        .collect::<Result<Vec<_>, _>>()?;
    for (file, kind) in &files {
        setns(file.as_fd(), *kind).trying(|| "cannot enter the container".into())?;
    }
    Ok(())
}

fn become_program(spec: &ExecSpec) -> Result<std::convert::Infallible, SandboxError> {
    if spec.terminal {
        terminal::take()?;
    }
    become_user(&spec.identity)?;
    chdir(&spec.working_dir).trying(|| format!("cannot enter {}", spec.working_dir.display()))?;
    execute(&spec.command, &spec.env)
}
