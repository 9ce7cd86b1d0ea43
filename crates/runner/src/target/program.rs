//! Programs of others: `kind`, `docker`, `kubectl`.

use std::{env, ffi::OsString, io, process::Stdio};

use tokio::process::Command;

use super::TargetError;

/// How many lines of what a failed program said are told.
const TOLD: usize = 12;

/// The `kind` program: `$KIND`, else `kind` on the PATH.
pub(crate) fn kind() -> Program {
    Program {
        path: env::var_os("KIND").unwrap_or_else(|| "kind".into()),
        name: "kind",
        remedy: "install it with `go install sigs.k8s.io/kind@v0.30.0`, or name it in KIND",
    }
}

/// The `docker` program.
pub(crate) fn docker() -> Program {
    Program {
        path: "docker".into(),
        name: "docker",
        remedy: "on Debian `apt-get install docker.io` installs it, and `dockerd &` starts its engine",
    }
}

/// The `kubectl` program.
pub(crate) fn kubectl() -> Program {
    Program {
        path: "kubectl".into(),
        name: "kubectl",
        remedy: "https://kubernetes.io/docs/tasks/tools tells how to install it",
    }
}

/// The version of the container engine that answers the `docker` program.
///
/// # Errors
/// When the program is not there, or no engine answers it.
pub(crate) async fn engine_version() -> Result<String, TargetError> {
    let version = docker()
        .run(&["version", "--format", "{{.Server.Version}}"])
        .await?;
    Ok(version.trim().to_owned())
}

/// A program of somebody else.
pub(crate) struct Program {
    path: OsString,
    name: &'static str,
    remedy: &'static str,
}

impl Program {
    /// Runs it to its end and gives what it printed.
    ///
    /// # Errors
    /// When it is not there, or fails; then the end of what it said is told.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, TargetError> {
        let output = self
            .command(arguments)
            .output()
            .await
            .map_err(|error| self.not_run(error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        Err(TargetError::Command {
            command: format!("{} {}", self.name, arguments.join(" ")),
            output: lines[lines.len().saturating_sub(TOLD)..].join("\n"),
        })
    }

    /// A command that ends when it is dropped, and that a Ctrl-C at the terminal does not reach: what it
    /// has begun is undone by the run, in order.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    pub(crate) fn not_run(&self, source: io::Error) -> TargetError {
        match source.kind() {
            io::ErrorKind::NotFound => TargetError::Missing {
                program: self.name,
                remedy: self.remedy,
            },
            _ => TargetError::File {
                path: self.path.clone().into(),
                source,
            },
        }
    }
}
