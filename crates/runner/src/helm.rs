//! The real chart through the `helm` command.

use std::{
    env,
    ffi::OsString,
    io,
    process::{Command, Stdio},
};

use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use prefect_e2e_renderer::{Object, Release, from_yaml};

use crate::values_args::ValuesArgs;

/// A chart for helm: a directory, an archive, `repository/name` or `oci://…`.
#[derive(Debug, Clone)]
pub(crate) struct Chart<'a> {
    pub(crate) reference: &'a str,
    pub(crate) version: Option<&'a str>,
}

impl Chart<'_> {
    /// The objects that helm renders, in the order in which it installs them.
    pub(crate) fn template(&self, release: &Release, values: &ValuesArgs) -> miette::Result<Vec<Object>> {
        let program = env::var_os("PREFECT_E2E_HELM").unwrap_or_else(|| OsString::from("helm"));
        let mut command = Command::new(&program);
        command
            .args([
                "template",
                &release.name,
                self.reference,
                "--namespace",
                &release.namespace,
            ])
            .args(["--kube-version", &release.kube_version.to_string()])
            .args(values.for_helm())
            .stdin(Stdio::inherit());
        if let Some(version) = self.version {
            command.args(["--version", version]);
        }
        let output = command.output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => miette!(
                help = "install helm (https://helm.sh/docs/intro/install), or name it in PREFECT_E2E_HELM",
                "rendering a chart needs the helm command, and {} is not in PATH",
                program.display()
            ),
            _ => miette!("cannot run {}: {error}", program.display()),
        })?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(miette!(
                "helm cannot render {}:\n{}",
                self.reference,
                complaint.trim_end()
            ));
        }
        let stream = String::from_utf8(output.stdout).into_diagnostic()?;
        from_yaml(&stream)
            .into_diagnostic()
            .wrap_err_with(|| format!("helm rendered {} to something else", self.reference))
    }
}
