//! `prefect-e2e run`: deploys scenarios and proves them.

use std::collections::BTreeMap;

use clap::Args;
use miette::{IntoDiagnostic as _, miette};
use prefect_e2e_local_cluster::StateDir;
use prefect_e2e_scenarios::Scenario;
use tokio_util::sync::CancellationToken;

use crate::{
    batch_args::BatchArgs,
    deploy_args::DeployArgs,
    event::{Events, Happening, Sink},
    exit_code,
    history::History,
    report_args::{ReportArgs, TerminalArgs},
    run::{self, RunOptions},
    scenario_args::ScenarioArgs,
    secrecy::Secrets,
    signals::stop_on_signals,
    sink::Recorder,
    target::TargetArgs,
};

/// What to run, where and how.
#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    scenarios: ScenarioArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    deploy: DeployArgs,
    #[command(flatten)]
    terminal: TerminalArgs,
    #[command(flatten)]
    reports: ReportArgs,
}

/// The scenarios of a run.
#[derive(Default)]
struct Chosen {
    scenarios: Vec<Scenario>,
    reruns: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl RunCommand {
    pub(crate) async fn run(self) -> miette::Result<u8> {
        self.target.check()?;
        self.batch.check()?;
        let history = History::load(StateDir::of_user().into_diagnostic()?.path()).into_diagnostic()?;
        let chosen = self.choose(&history)?;
        let options = self.options(&history, &chosen)?;
        let secrets = Secrets::default();
        let events = Events::new(self.sinks(history, &secrets), secrets);
        let stop = CancellationToken::new();
        let listener = stop_on_signals(&stop)?;
        let connect = || {
            for message in chosen.notes {
                events.publish(None, Happening::Note { message });
            }
            self.target.connect(self.batch.keeps(), &events)
        };
        let summary = run::run(chosen.scenarios, options, &events, &stop, connect).await;
        listener.abort();
        let summary = summary.into_diagnostic()?;
        Ok(if stop.is_cancelled() {
            exit_code::INTERRUPTED
        } else {
            summary.exit_code()
        })
    }

    /// The scenarios asked for.
    fn choose(&self, history: &History) -> miette::Result<Chosen> {
        let mut chosen = Chosen {
            scenarios: self.scenarios.choose()?,
            ..Chosen::default()
        };
        if let Some(matrix) = &self.batch.matrix {
            let expanded = matrix.expand(chosen.scenarios);
            chosen.scenarios = expanded.scenarios;
            chosen.reruns = expanded.reruns;
            if !expanded.unchanged.is_empty() {
                let names = expanded.unchanged.join(", ");
                chosen.notes.push(format!(
                    "run as they are, being about versions themselves: {names}"
                ));
            }
        }
        let scenarios = &mut chosen.scenarios;
        if self.batch.failed {
            let failed = history.failed();
            scenarios.retain(|scenario| failed.contains(&scenario.name));
            if scenarios.is_empty() {
                return Err(miette!("none of these scenarios failed when it was last run"));
            }
        }
        if let Some(shard) = self.batch.shard {
            let names: Vec<String> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
            let part = history.shard(&names, shard);
            scenarios.retain(|scenario| part.contains(&scenario.name));
        }
        if let Some(seed) = self.batch.seed {
            chosen.notes.push(format!("the order is that of --seed {seed}"));
        }
        Ok(chosen)
    }

    fn options(&self, history: &History, chosen: &Chosen) -> miette::Result<RunOptions> {
        let durations = chosen
            .scenarios
            .iter()
            .filter_map(|scenario| Some((scenario.name.clone(), history.duration(&scenario.name)?)));
        Ok(RunOptions {
            jobs: self.batch.jobs(),
            prove: self.batch.apply(self.deploy.prove_options()?),
            fail_fast: self.batch.fail_fast,
            retries: self.batch.retries,
            repeat: self.batch.repeat as usize,
            seed: self.batch.seed,
            durations: durations.collect(),
            reruns: chosen.reruns.clone(),
            rerun_arguments: self.rerun_arguments(),
        })
    }

    /// The arguments that make a rerun like this run.
    fn rerun_arguments(&self) -> String {
        let mut words = self.target.rerun_arguments();
        words.extend(self.scenarios.rerun_argument());
        words.extend(self.deploy.rerun_arguments());
        words.iter().map(|word| format!(" {word}")).collect()
    }

    fn sinks(&self, history: History, secrets: &Secrets) -> Vec<Box<dyn Sink>> {
        let recorder = if self.batch.shard.is_some() {
            Recorder::of_shard(history)
        } else {
            Recorder::new(history)
        };
        let mut sinks: Vec<Box<dyn Sink>> = vec![self.terminal.sink(), Box::new(recorder)];
        sinks.extend(self.reports.sinks(&self.scenarios.shown_directory(), secrets));
        sinks
    }
}
