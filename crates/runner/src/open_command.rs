//! `prefect-e2e open`: deploys one scenario and opens it for people.

use clap::Args;
use miette::{IntoDiagnostic as _, miette};
use prefect_e2e_scenarios::Expectation;
use tokio_util::sync::CancellationToken;

use crate::{
    deploy_args::DeployArgs,
    event::Events,
    prove::{ProveOptions, Visit},
    report_args::TerminalArgs,
    run::{self, RunOptions},
    scenario_args::OneScenario,
    secrecy::Secrets,
    signals::stop_on_signals,
    target::TargetArgs,
};

/// What to open, and where.
#[derive(Debug, Args)]
pub(crate) struct OpenCommand {
    #[command(flatten)]
    scenario: OneScenario,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    deploy: DeployArgs,
    #[command(flatten)]
    terminal: TerminalArgs,
}

impl OpenCommand {
    /// Holds the deployment until Ctrl-C, then removes it.
    pub(crate) async fn run(self) -> miette::Result<u8> {
        self.target.check()?;
        let scenario = self.scenario.choose()?;
        if matches!(scenario.file.expect, Expectation::Refused(_)) {
            return Err(miette!(
                "the values of {} are refused: there is nothing to open",
                scenario.name
            ));
        }
        let options = RunOptions {
            jobs: 1,
            prove: ProveOptions {
                visit: Visit::Instead,
                ..self.deploy.prove_options()?
            },
            ..RunOptions::default()
        };
        let events = Events::new(vec![self.terminal.sink()], Secrets::default());
        let stop = CancellationToken::new();
        let listener = stop_on_signals(&stop)?;
        let summary = run::run(vec![scenario], options, &events, &stop, || {
            self.target.connect(false, &events)
        })
        .await;
        listener.abort();
        Ok(summary.into_diagnostic()?.exit_code())
    }
}
