//! Processes in Linux namespaces: what the embedded node's pods are made of.
//!
//! Everything here runs in single-threaded helper processes: the program executes itself again with a
//! hidden first argument, and [`dispatch`], which `main` calls before anything else, takes over there.
//! So namespaces can be entered (which a process with threads may not), and each of the program's
//! threads stays where it is.
//!
//! Works as root and as an ordinary user. The latter has one user and one group to map: a container's
//! user is then a nested user namespace in which the only identifier has the number asked for.
//!
//! Why this is not an OCI runtime crate: `docs/decisions/0001-own-sandbox.md`.

mod capability;
mod container;
mod error;
mod exec;
mod guard;
mod init;
mod mount;
pub mod network;
pub mod node;
mod process;
mod report;
mod rootfs;
mod spec;
mod terminal;

pub use error::SandboxError;
pub use exec::ExecSpec;
pub use report::{Report, ReportReader};
pub use spec::{ContainerSpec, Identity, Layer, Mount, Namespaces};
pub use terminal::Terminal;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const CONTAINER: &str = "__container";
const EXEC: &str = "__exec";
const GUARD: &str = "__guard";

/// Runs the hidden mode that this process was started for and ends it; returns if there is none.
///
/// Call it first in `main`, before there are threads. `node` is what the node's process does once it
/// is inside its namespaces.
pub fn dispatch(node: fn(node::NodeContext) -> ExitCode) {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from).unwrap_or_default();
    if program.file_name().is_some_and(|name| name == "tini") {
        std::process::exit(init::main(&arguments.collect::<Vec<_>>()));
    }
    let mode = arguments.next().unwrap_or_default();
    let file = || std::env::args_os().nth(2).map(PathBuf::from).unwrap_or_default();
    let code = match mode.to_str() {
        Some(node::ARGUMENT) => node::main(node),
        Some(CONTAINER) => container::main(&file()),
        Some(EXEC) => exec::main(&file()),
        Some(GUARD) => guard::main(std::env::args_os().skip(2)),
        _ => return,
    };
    std::process::exit(code);
}

/// The command that runs `program` so that it is killed when the thread that started it ends, even by
/// SIGKILL. The program's own children are not: they see the end of their pipes.
#[must_use]
pub fn guarded_command(executable: &Path, program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new(executable);
    command.arg(GUARD).arg(program);
    command
}

/// The command that starts the container of the spec written at `spec`.
///
/// It ends with the container's exit code; SIGTERM and the like are passed on to the container. Whether
/// the container started is told through the spec's pipe, to be read by a [`ReportReader`].
#[must_use]
pub fn container_command(executable: &Path, spec: &Path) -> Command {
    let mut command = Command::new(executable);
    command.arg(CONTAINER).arg(spec);
    command
}

/// The command that runs the program of the [`ExecSpec`] written at `spec` in a running container.
#[must_use]
pub fn exec_command(executable: &Path, spec: &Path) -> Command {
    let mut command = Command::new(executable);
    command.arg(EXEC).arg(spec);
    command
}
