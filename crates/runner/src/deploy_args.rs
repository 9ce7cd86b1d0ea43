//! The part of the command line that says how scenarios are deployed.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use miette::IntoDiagnostic as _;
use prefect_e2e_local_cluster::StateDir;

use crate::{helm::Chart, image::ImageReplacement, prove::ProveOptions, render_command::read_patches};

/// How scenarios are deployed.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// How long a deployment may take to become healthy, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 180,
        env = "PREFECT_E2E_TIMEOUT"
    )]
    timeout: u64,
    /// Deploy this chart, rendered by helm: a directory, an archive, repository/name or oci://…
    #[arg(long, value_name = "PATH", env = "PREFECT_E2E_CHART")]
    pub(crate) chart: Option<String>,
    /// Version of the chart
    #[arg(long, value_name = "VERSION", requires = "chart")]
    chart_version: Option<String>,
    /// Replace the begin of image references, for mirrors and air-gapped registries; repeat it
    #[arg(
        long,
        value_name = "FROM=TO",
        value_delimiter = ',',
        env = "PREFECT_E2E_IMAGE"
    )]
    image: Vec<ImageReplacement>,
    /// Change the rendered objects: RFC 6902 or merge patches selected by kind and name
    #[arg(long, value_name = "FILE")]
    pub(crate) patch: Vec<PathBuf>,
    /// Where screenshots are written [default: artifacts in the state directory]
    #[arg(long, value_name = "DIR", env = "PREFECT_E2E_ARTIFACTS")]
    artifacts: Option<PathBuf>,
}

impl DeployArgs {
    /// How scenarios are proven, in namespaces of their own that are removed.
    pub(crate) fn prove_options(&self) -> miette::Result<ProveOptions> {
        Ok(ProveOptions {
            patience: Duration::from_secs(self.timeout),
            chart: self.chart.clone().map(|reference| Chart {
                reference,
                version: self.chart_version.clone(),
            }),
            patches: read_patches(&self.patch)?,
            images: self.image.clone(),
            artifacts: match &self.artifacts {
                Some(directory) => directory.clone(),
                None => StateDir::of_user().into_diagnostic()?.path().join("artifacts"),
            },
            ..ProveOptions::default()
        })
    }

    /// The arguments that make a rerun deploy the same.
    pub(crate) fn rerun_arguments(&self) -> Vec<String> {
        let chart = self.chart.iter().map(|chart| format!("--chart {chart}"));
        let version = self
            .chart_version
            .iter()
            .map(|version| format!("--chart-version {version}"));
        let patches = self
            .patch
            .iter()
            .map(|path| format!("--patch {}", path.display()));
        chart.chain(version).chain(patches).collect()
    }
}
