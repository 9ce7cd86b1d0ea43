//! Running the commands of a recipe.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::ImageError;

/// How many lines of a failed command are told.
const TOLD: usize = 12;

/// Runs commands so that they end with this program.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// A program that executes `__guard COMMAND…` so that the command dies with its parent thread.
    pub(crate) guard: Option<PathBuf>,
}

impl Tools {
    /// The command for `program`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(guard) = &self.guard else {
            return Command::new(program);
        };
        let mut command = Command::new(guard);
        command.arg("__guard").arg(program);
        command
    }

    /// Runs `command`, handing on each line of its error output; gives its output.
    pub(crate) fn run(
        &self,
        action: &'static str,
        command: &mut Command,
        mut on_line: impl FnMut(&str),
    ) -> Result<String, ImageError> {
        let failed = |output: String| ImageError::Command {
            action,
            hint: hint(&output),
            output,
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let output = child.stdout.take();
        let reader = std::thread::spawn(move || output.map(std::io::read_to_string).transpose());
        let mut lines = Vec::new();
        let errors = child.stderr.take().map(BufReader::new);
        for line in errors
            .into_iter()
            .flat_map(|errors| errors.lines().map_while(Result::ok))
        {
            on_line(&line);
            lines.push(line);
        }
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        let output = reader
            .join()
            .ok()
            .and_then(Result::ok)
            .flatten()
            .unwrap_or_default();
        if status.success() {
            return Ok(output);
        }
        let told = &lines[lines.len().saturating_sub(TOLD)..];
        Err(failed(if told.is_empty() {
            format!("it ended with {status}")
        } else {
            told.join("\n")
        }))
    }
}

/// What can be done about a failure that users meet.
fn hint(output: &str) -> Option<String> {
    let table = [
        (
            "No space left on device",
            "the disk is full; the image was removed again",
        ),
        (
            "UnknownIssuer",
            "the index's certificate is signed by an authority that is not among this system's roots; set \
             SSL_CERT_FILE to a file with it",
        ),
        (
            "CERTIFICATE_VERIFY_FAILED",
            "set SSL_CERT_FILE to a file with the authority of the index's certificate",
        ),
        (
            "No module named venv",
            "on Debian `apt install python3-venv` installs it",
        ),
        (
            "ensurepip is not",
            "on Debian `apt install python3-venv` installs it",
        ),
        (
            "No module named pip",
            "on Debian `apt install python3-venv` installs it",
        ),
        (
            "ConnectError",
            "no package index is reachable; configure one for pip (`pip config set global.index-url …`)",
        ),
        (
            "ConnectionError",
            "no package index is reachable; configure one for pip (`pip config set global.index-url …`)",
        ),
        (
            "NewConnectionError",
            "no package index is reachable; configure one for pip (`pip config set global.index-url …`)",
        ),
        (
            "dns error",
            "no package index is reachable; configure one for pip (`pip config set global.index-url …`)",
        ),
    ];
    table
        .iter()
        .find(|(sign, _)| output.contains(sign))
        .map(|(_, hint)| (*hint).to_owned())
}

/// The programs called `name` along the `PATH`.
pub(crate) fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
    candidates.filter(|candidate| is_executable(candidate)).collect()
}

/// Whether `path` is a program.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_tells_what_it_said() {
        let tools = Tools { guard: None };
        let mut command = tools.command("sh");
        command.args(["-c", "echo 'No space left on device' >&2; exit 3"]);
        let mut lines = Vec::new();
        let error = tools
            .run("trying", &mut command, |line| lines.push(line.to_owned()))
            .unwrap_err();
        assert_eq!(lines, ["No space left on device"]);
        let expected =
            "trying failed: No space left on device\nthe disk is full; the image was removed again";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_output_is_given() {
        let tools = Tools { guard: None };
        let mut command = tools.command("echo");
        assert_eq!(
            tools.run("trying", command.arg("hello"), |_| {}).unwrap(),
            "hello\n"
        );
    }
}
