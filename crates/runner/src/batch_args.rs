//! The part of the command line that says how a run goes through its scenarios.

use std::io::IsTerminal as _;

use clap::{Args, builder::BoolishValueParser};
use miette::miette;

use crate::{
    history::Shard,
    prove::{Keep, ProveOptions, Visit},
    run,
    version_matrix::VersionMatrix,
};

/// How a run goes through its scenarios.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// How many scenarios to run at once [default: two a core, as far as memory allows]
    #[arg(long, short, value_name = "N", env = "PREFECT_E2E_JOBS")]
    jobs: Option<usize>,
    /// Deploy into this existing namespace, one scenario at a time, instead of making one for each
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Try a failed scenario again so often; one that then passes is flaky
    #[arg(long, value_name = "N", default_value_t = 0, env = "PREFECT_E2E_RETRIES")]
    pub(crate) retries: usize,
    /// Run each scenario so often, to hunt flakes; it passes when all of them do
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// Begin no further scenario once one has failed
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Only scenarios that failed when they were last run
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only the I-th of N parts, cut by how long the scenarios took when they were last run
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Start the scenarios in an order that this number decides, instead of the longest first
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Run each scenario once for each of these versions of Prefect: prefect=3.2.7,3.6.9
    #[arg(long, value_name = "AXIS=VERSION,…")]
    pub(crate) matrix: Option<VersionMatrix>,
    /// Leave the namespaces in place and say how to look at them
    #[arg(long)]
    keep: bool,
    /// Leave the namespaces of failed scenarios in place and say how to look at them
    #[arg(long, env = "PREFECT_E2E_KEEP_FAILED", value_parser = BoolishValueParser::new(), conflicts_with = "keep")]
    keep_failed: bool,
    /// Stop where a scenario has failed, with its server and UI at ports of this machine, until Enter
    #[arg(long)]
    pause_on_failure: bool,
}

impl BatchArgs {
    /// Refuses what cannot be heeded.
    pub(crate) fn check(&self) -> miette::Result<()> {
        if self.pause_on_failure && !std::io::stdin().is_terminal() {
            return Err(miette!(
                help = "leave it out, or take --keep-failed on a cluster that stays",
                "--pause-on-failure waits for Enter, and standard input is no terminal"
            ));
        }
        Ok(())
    }

    /// How many scenarios run at once.
    pub(crate) fn jobs(&self) -> usize {
        match &self.namespace {
            Some(_) => 1,
            None => self.jobs.unwrap_or_else(run::default_jobs),
        }
    }

    /// Whether a cluster that is made for the run is to be left.
    pub(crate) fn keeps(&self) -> bool {
        self.keep || self.keep_failed
    }

    /// Says where scenarios are proven and what remains of them.
    pub(crate) fn apply(&self, options: ProveOptions) -> ProveOptions {
        ProveOptions {
            keep: match (self.keep, self.keep_failed) {
                (true, _) => Keep::All,
                (_, true) => Keep::Failed,
                _ => Keep::Nothing,
            },
            visit: if self.pause_on_failure {
                Visit::OnFailure
            } else {
                Visit::Never
            },
            namespace: self.namespace.clone(),
            ..options
        }
    }
}
