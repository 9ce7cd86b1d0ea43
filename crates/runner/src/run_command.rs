//! `prefect-e2e run`: deploys scenarios and proves them.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use miette::{IntoDiagnostic as _, miette};
use prefect_e2e_local_cluster::StateDir;
use prefect_e2e_scenarios::Scenario;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Events, Sink},
    exit_code,
    helm::Chart,
    history::{History, Shard},
    image::ImageReplacement,
    prove::ProveOptions,
    render_command::read_patches,
    run::{self, RunOptions},
    scenario_args::ScenarioArgs,
    secrecy::Secrets,
    signals::StopSignals,
    sink::{Github, Html, Junit, Ndjson, Recorder, Terminal, TerminalOptions, Verbosity},
    target::TargetArgs,
};

/// What to run, where and how.
#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    scenarios: ScenarioArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// Deploy into this existing namespace, one scenario at a time, instead of making one for each
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How many scenarios to run at once [default: two a core, as far as memory allows]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// How long a deployment may take to become healthy, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    timeout: u64,
    /// Leave the namespaces in place and say how to look at them
    #[arg(long)]
    keep: bool,
    /// Begin no further scenario once one has failed
    #[arg(long)]
    fail_fast: bool,
    /// Try a failed scenario again so often; one that then passes is flaky
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: usize,
    /// Only scenarios that failed when they were last run
    #[arg(long)]
    failed: bool,
    /// Only the I-th of N parts, cut by how long the scenarios took when they were last run
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Run each scenario so often, to hunt flakes; it passes when all of them do
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Say the failures and the summary alone
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Say everything: what each step sees on its way, whole logs
    #[arg(long, short)]
    verbose: bool,
    /// Where screenshots are written [default: artifacts in the state directory]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write every event as a line of JSON; docs/events.md describes them
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Write a report of one HTML page, index.html, that needs no network
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// Deploy this chart, rendered by helm: a directory, an archive, repository/name or oci://…
    #[arg(long, value_name = "PATH")]
    chart: Option<String>,
    /// Version of the chart
    #[arg(long, value_name = "VERSION", requires = "chart")]
    chart_version: Option<String>,
    /// Replace the begin of image references, for mirrors and air-gapped registries; repeat it
    #[arg(long, value_name = "FROM=TO")]
    image: Vec<ImageReplacement>,
    /// Change the rendered objects: RFC 6902 or merge patches selected by kind and name
    #[arg(long, value_name = "FILE")]
    patch: Vec<PathBuf>,
}

impl RunCommand {
    pub(crate) async fn run(self) -> miette::Result<u8> {
        self.target.check()?;
        let history = History::load(StateDir::of_user().into_diagnostic()?.path()).into_diagnostic()?;
        let scenarios = self.choose(&history)?;
        let options = self.options(&history, &scenarios)?;
        let secrets = Secrets::default();
        let events = Events::new(self.sinks(history, &secrets), secrets);
        let stop = CancellationToken::new();
        let mut signals = StopSignals::listen()?;
        let interrupted = stop.clone();
        let listener = tokio::spawn(async move {
            signals.received().await;
            eprintln!("\ninterrupted: removing what was made; once more ends at once");
            interrupted.cancel();
            signals.received().await;
            std::process::exit(exit_code::INTERRUPTED.into());
        });
        let summary = run::run(scenarios, options, &events, &stop, || {
            self.target.connect(self.keep, &events)
        })
        .await;
        listener.abort();
        let summary = summary.into_diagnostic()?;
        Ok(if stop.is_cancelled() {
            exit_code::INTERRUPTED
        } else if summary.unusable {
            exit_code::UNUSABLE
        } else if summary.failed.is_empty() {
            exit_code::PASSED
        } else {
            exit_code::FAILED
        })
    }

    /// The scenarios asked for, longest first.
    fn choose(&self, history: &History) -> miette::Result<Vec<Scenario>> {
        let mut scenarios = self.scenarios.choose()?;
        if self.failed {
            let failed = history.failed();
            scenarios.retain(|scenario| failed.contains(&scenario.name));
            if scenarios.is_empty() {
                return Err(miette!("none of these scenarios failed when it was last run"));
            }
        }
        if let Some(shard) = self.shard {
            let names: Vec<String> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
            let part = history.shard(&names, shard);
            scenarios.retain(|scenario| part.contains(&scenario.name));
        }
        Ok(scenarios)
    }

    fn options(&self, history: &History, scenarios: &[Scenario]) -> miette::Result<RunOptions> {
        let jobs = if self.namespace.is_some() {
            1
        } else {
            self.jobs.unwrap_or_else(run::default_jobs)
        };
        Ok(RunOptions {
            jobs,
            prove: ProveOptions {
                patience: Duration::from_secs(self.timeout),
                keep: self.keep,
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
                namespace: self.namespace.clone(),
            },
            fail_fast: self.fail_fast,
            retries: self.retries,
            repeat: self.repeat as usize,
            durations: scenarios
                .iter()
                .filter_map(|scenario| Some((scenario.name.clone(), history.duration(&scenario.name)?)))
                .collect(),
            rerun_arguments: self.rerun_arguments(),
        })
    }

    /// The arguments that make a rerun like this run.
    fn rerun_arguments(&self) -> String {
        let mut words = self.target.rerun_arguments();
        words.extend(self.scenarios.rerun_argument());
        if let Some(chart) = &self.chart {
            words.push(format!("--chart {chart}"));
        }
        if let Some(version) = &self.chart_version {
            words.push(format!("--chart-version {version}"));
        }
        words.extend(
            self.patch
                .iter()
                .map(|path| format!("--patch {}", path.display())),
        );
        words.iter().map(|word| format!(" {word}")).collect()
    }

    fn sinks(&self, history: History, secrets: &Secrets) -> Vec<Box<dyn Sink>> {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let terminal = Terminal::new(
            TerminalOptions::of_process(verbosity),
            Box::new(std::io::stdout()),
        );
        let recorder = if self.shard.is_some() {
            Recorder::of_shard(history)
        } else {
            Recorder::new(history)
        };
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(terminal), Box::new(recorder)];
        if let Some(path) = &self.junit {
            sinks.push(Box::new(Junit::new(path.clone())));
        }
        if let Some(path) = &self.events {
            sinks.push(Box::new(Ndjson::new(path.clone())));
        }
        if let Some(directory) = &self.html {
            sinks.push(Box::new(Html::new(directory.clone(), secrets.clone())));
        }
        if let Some(github) = Github::of_process(&self.scenarios.shown_directory()) {
            sinks.push(Box::new(github));
        }
        sinks
    }
}
