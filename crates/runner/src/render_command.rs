//! `prefect-e2e render`: values to objects, without a cluster.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use prefect_e2e_renderer::{Object, notes, patch::Patches, render, to_yaml};

use crate::{helm::Chart, release_args::ReleaseArgs, stdout::print, values_args::ValuesArgs};

/// What to render, and where to put it.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct RenderCommand {
    #[command(flatten)]
    release: ReleaseArgs,
    #[command(flatten)]
    values: ValuesArgs,
    /// Write a file for each object into this directory instead of printing
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Only these objects; repeat it to choose several
    #[arg(long, value_name = "KIND[/NAME]")]
    show_only: Vec<String>,
    /// Print the notes on how to reach the server too, as comments
    #[arg(long, conflicts_with = "chart")]
    notes: bool,
    /// Render this chart with helm instead: a directory, an archive, repository/name or oci://…
    #[arg(long, value_name = "PATH")]
    chart: Option<String>,
    /// Version of the chart
    #[arg(long = "version", value_name = "VERSION", requires = "chart")]
    chart_version: Option<String>,
    /// Change the objects by the patches of this file (RFC 6902, or parts of objects); repeat it
    #[arg(long, value_name = "FILE")]
    patch: Vec<PathBuf>,
}

impl RenderCommand {
    pub(crate) fn run(self) -> miette::Result<()> {
        let release = self.release.release();
        let mut notice = None;
        let objects = match &self.chart {
            Some(reference) => {
                let chart = Chart {
                    reference: reference.clone(),
                    version: self.chart_version.clone(),
                };
                chart.template(&release, &self.values)?
            }
            None => {
                let values = self.values.layers()?.values().into_diagnostic()?;
                if self.notes {
                    notice = Some(notes(&release, &values).into_diagnostic()?);
                }
                render(&release, &values).into_diagnostic()?
            }
        };
        let objects = read_patches(&self.patch)?.apply(objects).into_diagnostic()?;
        let objects = choose(objects, &self.show_only)?;
        let mut output = match &self.output_dir {
            Some(directory) => write_files(directory, &objects)?,
            None => to_yaml(&objects),
        };
        for line in notice.as_deref().unwrap_or_default().lines() {
            output.push_str(format!("# {line}").trim_end());
            output.push('\n');
        }
        print(&output)
    }
}

/// The patches of files, in order.
pub(crate) fn read_patches(paths: &[PathBuf]) -> miette::Result<Patches> {
    let mut patches = Patches::default();
    for path in paths {
        let text = fs::read_to_string(path).into_diagnostic();
        let text = text.wrap_err_with(|| format!("cannot read the patch {}", path.display()))?;
        patches
            .add(&path.display().to_string(), &text)
            .into_diagnostic()?;
    }
    Ok(patches)
}

/// The objects that are asked for, or all.
fn choose(objects: Vec<Object>, wanted: &[String]) -> miette::Result<Vec<Object>> {
    if let Some(missing) = wanted
        .iter()
        .find(|wanted| !objects.iter().any(|object| is(object, wanted)))
    {
        let there: Vec<String> = objects
            .iter()
            .map(|object| format!("{}/{}", object.kind(), object.name()))
            .collect();
        return Err(miette!(
            "--show-only {missing}: there is no such object; there are {}",
            there.join(", ")
        ));
    }
    if wanted.is_empty() {
        return Ok(objects);
    }
    Ok(objects
        .into_iter()
        .filter(|object| wanted.iter().any(|wanted| is(object, wanted)))
        .collect())
}

/// Whether an object is meant by `KIND` or `KIND/NAME`.
fn is(object: &Object, wanted: &str) -> bool {
    let (kind, name) = match wanted.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (wanted, None),
    };
    object.kind().eq_ignore_ascii_case(kind) && name.is_none_or(|name| object.name() == name)
}

/// Writes a file for each object, and gives their paths, a line each.
fn write_files(directory: &Path, objects: &[Object]) -> miette::Result<String> {
    let cannot = |path: &Path| format!("cannot write {}", path.display());
    fs::create_dir_all(directory)
        .into_diagnostic()
        .wrap_err_with(|| cannot(directory))?;
    let mut paths = String::new();
    for object in objects {
        let path = directory.join(format!("{}-{}.yaml", object.kind().to_lowercase(), object.name()));
        write_file(&path, object)
            .into_diagnostic()
            .wrap_err_with(|| cannot(&path))?;
        paths.push_str(&format!("{}\n", path.display()));
    }
    Ok(paths)
}

/// Secrets are for the user's eyes alone.
fn write_file(path: &Path, object: &Object) -> std::io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};

    let mode = if object.kind() == "Secret" { 0o600 } else { 0o644 };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.write_all(to_yaml(std::slice::from_ref(object)).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use prefect_e2e_renderer::{Release, Values};

    use super::*;

    fn objects() -> Vec<Object> {
        render(&Release::new("prefect-server", "prefect"), &Values::default()).expect("the defaults")
    }

    #[test]
    fn objects_are_chosen_by_kind_and_name() {
        let names = |wanted: &[&str]| -> Vec<String> {
            let wanted: Vec<String> = wanted.iter().map(|word| (*word).to_owned()).collect();
            let chosen = choose(objects(), &wanted).expect("objects");
            chosen
                .iter()
                .map(|object| format!("{}/{}", object.kind(), object.name()))
                .collect()
        };
        assert_eq!(names(&["deployment"]), ["Deployment/prefect-server"]);
        assert_eq!(
            names(&["StatefulSet", "Service/prefect-server"]),
            ["Service/prefect-server", "StatefulSet/prefect-server-postgresql"]
        );
        assert_eq!(names(&[]).len(), objects().len());
    }

    #[test]
    fn what_is_not_there_is_told() {
        let error = choose(objects(), &["Ingress".to_owned()])
            .expect_err("a refusal")
            .to_string();
        assert!(
            error.contains("--show-only Ingress") && error.contains("Deployment/prefect-server"),
            "{error}"
        );
    }

    #[test]
    fn files_of_secrets_are_private() {
        let directory = tempfile::tempdir().expect("a directory");
        write_files(directory.path(), &objects()).expect("files");
        let mode = |name: &str| {
            let path = directory.path().join(name);
            fs::metadata(path).expect("a file").permissions().mode() & 0o777
        };
        assert_eq!(mode("secret-prefect-server-postgresql.yaml"), 0o600);
        assert_ne!(mode("service-prefect-server.yaml"), 0o600);
    }
}
