//! Which target a command line asks for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use miette::miette;

use super::{Embedded, Kind, KindOptions, Remote, STANDING_KIND, Target, TargetError};
use crate::event::Events;

/// Where to deploy, and how a cluster is made for it.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Where to deploy
    #[arg(long, value_enum, default_value_t = TargetKind::Auto, env = "PREFECT_E2E_TARGET")]
    target: TargetKind,
    /// The context of the kubeconfig, for `--target kubeconfig` [default: the current one]
    #[arg(long, value_name = "NAME", env = "PREFECT_E2E_CONTEXT")]
    context: Option<String>,
    /// Take this kind cluster, made if it is not up, and leave it [default: one of the run's own]
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = STANDING_KIND, help_heading = KIND)]
    reuse_cluster: Option<String>,
    /// The version of Kubernetes of a new kind cluster, as tags of kindest/node: 1.34.0
    #[arg(long, value_name = "X.Y.Z", value_parser = full_version, conflicts_with = "node_image", help_heading = KIND)]
    kubernetes_version: Option<String>,
    /// The image of a new kind cluster's nodes
    #[arg(long, value_name = "IMAGE", help_heading = KIND)]
    node_image: Option<String>,
    /// The configuration of a new kind cluster [default: kind-config.yaml, if that is here]
    #[arg(long, value_name = "FILE", help_heading = KIND)]
    kind_config: Option<PathBuf>,
    /// Load the images of this archive into the kind cluster; repeat it
    #[arg(long, value_name = "FILE", help_heading = KIND)]
    image_archive: Vec<PathBuf>,
}

const KIND: &str = "Options of --target kind";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TargetKind {
    /// The kind cluster `prefect-e2e` when it is up, else the embedded one
    Auto,
    /// A Kubernetes of the program's own, without Docker
    Embedded,
    /// A kind cluster, made for the run
    Kind,
    /// The cluster of a kubeconfig
    Kubeconfig,
}

impl TargetArgs {
    /// Refuses options that the chosen target would not heed.
    pub(crate) fn check(&self) -> miette::Result<()> {
        let of_kind = [
            ("--reuse-cluster", self.reuse_cluster.is_some()),
            ("--kubernetes-version", self.kubernetes_version.is_some()),
            ("--node-image", self.node_image.is_some()),
            ("--kind-config", self.kind_config.is_some()),
            ("--image-archive", !self.image_archive.is_empty()),
        ];
        let unheeded = of_kind
            .iter()
            .find(|(_, given)| *given && self.target != TargetKind::Kind);
        if let Some((option, _)) = unheeded {
            let target = self.name();
            return Err(miette!(
                help = "add --target kind",
                "{option} is for kind clusters, and --target is {target}"
            ));
        }
        if self.context.is_some() && self.target != TargetKind::Kubeconfig {
            return Err(miette!(
                help = "add --target kubeconfig",
                "--context is for clusters of a kubeconfig, and --target is {}",
                self.name()
            ));
        }
        Ok(())
    }

    /// The target, ready; `keep` says to leave a cluster that is made for it.
    pub(crate) async fn connect(&self, keep: bool, events: &Events) -> Result<Box<dyn Target>, TargetError> {
        Ok(match self.target {
            TargetKind::Auto => automatic(events).await?,
            TargetKind::Embedded => Box::new(Embedded::start(events, "as asked for").await?),
            TargetKind::Kind => Box::new(Kind::start(&self.kind_options(keep), events).await?),
            TargetKind::Kubeconfig => Box::new(Remote::connect(self.context.as_deref()).await?),
        })
    }

    /// The arguments that make a rerun use the same target.
    pub(crate) fn rerun_arguments(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.target != TargetKind::Auto {
            words.push(format!("--target {}", self.name()));
        }
        let options = [
            ("--context ", &self.context),
            ("--reuse-cluster=", &self.reuse_cluster),
            ("--kubernetes-version ", &self.kubernetes_version),
            ("--node-image ", &self.node_image),
        ];
        let given = options
            .iter()
            .filter_map(|(option, value)| Some(format!("{option}{}", value.as_ref()?)));
        words.extend(given);
        let config = self.kind_config.iter().map(|path| ("--kind-config", path));
        let archives = self.image_archive.iter().map(|path| ("--image-archive", path));
        words.extend(
            config
                .chain(archives)
                .map(|(option, path)| format!("{option} {}", path.display())),
        );
        words
    }

    fn name(&self) -> String {
        let value = self.target.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn kind_options(&self, keep: bool) -> KindOptions {
        let of_version = self
            .kubernetes_version
            .as_deref()
            .map(KindOptions::image_of_version);
        KindOptions {
            reuse: self.reuse_cluster.clone(),
            keep,
            node_image: self.node_image.clone().or(of_version),
            config: self.kind_config.clone(),
            image_archives: self.image_archive.clone(),
        }
    }
}

/// The standing kind cluster when it is up, else an embedded one.
async fn automatic(events: &Events) -> Result<Box<dyn Target>, TargetError> {
    if let Some(kind) = Kind::standing().await {
        return Ok(Box::new(kind));
    }
    let why = format!("because no kind cluster {STANDING_KIND} is up");
    Ok(Box::new(Embedded::start(events, &why).await?))
}

fn full_version(text: &str) -> Result<String, String> {
    let numbers = text.trim_start_matches('v').split('.');
    let parts: Vec<Option<u32>> = numbers.map(|number| number.parse().ok()).collect();
    if parts.len() == 3 && parts.iter().all(Option::is_some) {
        return Ok(text.to_owned());
    }
    Err("node images are tagged with whole versions, such as 1.34.0".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        target: TargetArgs,
    }

    fn parse(arguments: &str) -> Result<TargetArgs, clap::Error> {
        let words = std::iter::once("prefect-e2e").chain(arguments.split_whitespace());
        Line::try_parse_from(words).map(|line| line.target)
    }

    #[rstest]
    #[case("", "")]
    #[case("--target kind --reuse-cluster", "--target kind --reuse-cluster=prefect-e2e")]
    #[case(
        "--target kind --kubernetes-version 1.34.0 --kind-config two.yaml --image-archive a.tar",
        "--target kind --kubernetes-version 1.34.0 --kind-config two.yaml --image-archive a.tar"
    )]
    #[case("--target kubeconfig --context dev", "--target kubeconfig --context dev")]
    fn a_rerun_uses_the_same_target(#[case] given: &str, #[case] again: &str) {
        let target = parse(given).unwrap();
        target.check().unwrap();
        assert_eq!(target.rerun_arguments().join(" "), again);
    }

    #[rstest]
    #[case("--node-image x", "--node-image is for kind clusters, and --target is auto")]
    #[case(
        "--target embedded --reuse-cluster=own",
        "--reuse-cluster is for kind clusters, and --target is embedded"
    )]
    #[case(
        "--target kind --context dev",
        "--context is for clusters of a kubeconfig, and --target is kind"
    )]
    fn options_that_would_not_be_heeded_are_refused(#[case] given: &str, #[case] message: &str) {
        assert_eq!(parse(given).unwrap().check().unwrap_err().to_string(), message);
    }

    #[rstest]
    #[case("1.34")]
    #[case("latest")]
    #[case("1.34.0.1")]
    fn node_images_need_a_whole_version(#[case] version: &str) {
        let line = format!("--target kind --kubernetes-version {version}");
        assert!(parse(&line).is_err());
    }
}
