//! The real chart through the `helm` command.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    process::{Command, Stdio},
};

use miette::Diagnostic;
use prefect_e2e_renderer::{Object, Release, from_yaml};
use serde_json::Value;

use crate::values_args::ValuesArgs;

/// A chart for helm: a directory, an archive, `repository/name` or `oci://…`.
#[derive(Debug, Clone)]
pub struct Chart {
    /// As helm takes it.
    pub reference: String,
    /// The version of a chart in a repository; the newest if `None`.
    pub version: Option<String>,
}

/// A chart cannot be rendered.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum ChartError {
    /// There is no helm.
    #[error("rendering a chart needs the helm command, and {program} is not in PATH")]
    #[diagnostic(help("install helm (https://helm.sh/docs/intro/install), or name it in PREFECT_E2E_HELM"))]
    NoHelm {
        /// The program looked for.
        program: String,
    },
    /// Helm could not be run.
    #[error("cannot run helm")]
    Run(#[source] io::Error),
    /// Helm refused the chart or the values.
    #[error("helm cannot render {reference}:\n{complaint}")]
    Refused {
        /// The chart.
        reference: String,
        /// What helm said.
        complaint: String,
    },
    /// Helm printed something else than objects.
    #[error("helm rendered {reference} to something else than objects: {problem}")]
    Malformed {
        /// The chart.
        reference: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Chart {
    /// The objects for the values of a command line, in the order in which helm installs them.
    pub(crate) fn template(&self, release: &Release, values: &ValuesArgs) -> Result<Vec<Object>, ChartError> {
        let mut command = self.command(release);
        command.args(values.for_helm()).stdin(Stdio::inherit());
        self.objects(command, None)
    }

    /// The objects for `values`.
    pub(crate) fn template_values(
        &self,
        release: &Release,
        values: &Value,
    ) -> Result<Vec<Object>, ChartError> {
        let mut command = self.command(release);
        command.args(["--values", "-"]).stdin(Stdio::piped());
        self.objects(command, Some(&values.to_string()))
    }

    fn command(&self, release: &Release) -> Command {
        let mut command = Command::new(program());
        command
            .args([
                "template",
                &release.name,
                &self.reference,
                "--namespace",
                &release.namespace,
            ])
            .args(["--kube-version", &release.kube_version.to_string()]);
        if let Some(version) = &self.version {
            command.args(["--version", version]);
        }
        command
    }

    fn objects(&self, mut command: Command, input: Option<&str>) -> Result<Vec<Object>, ChartError> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(not_run)?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // helm may refuse the chart before it reads the values
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(ChartError::Run)?;
        let reference = self.reference.clone();
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            return Err(ChartError::Refused { reference, complaint });
        }
        let stream = String::from_utf8_lossy(&output.stdout);
        from_yaml(&stream).map_err(|error| ChartError::Malformed {
            reference,
            problem: error.to_string(),
        })
    }
}

/// The version of the `helm` command.
pub(crate) fn version() -> Result<String, ChartError> {
    let output = Command::new(program())
        .args(["version", "--short"])
        .output()
        .map_err(not_run)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn program() -> OsString {
    env::var_os("PREFECT_E2E_HELM").unwrap_or_else(|| OsString::from("helm"))
}

fn not_run(error: io::Error) -> ChartError {
    match error.kind() {
        io::ErrorKind::NotFound => ChartError::NoHelm {
            program: program().to_string_lossy().into_owned(),
        },
        _ => ChartError::Run(error),
    }
}
