//! `prefect-e2e run`: deploys scenarios and proves them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use miette::{IntoDiagnostic as _, WrapErr as _};
use prefect_e2e_renderer::patch::Patches;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Events, Sink},
    exit_code,
    prove::ProveOptions,
    run::{self, RunOptions},
    scenario_args::ScenarioArgs,
    secrecy::Secrets,
    signals::StopSignals,
    sink::{Terminal, TerminalOptions, Verbosity},
    target::{Embedded, Remote, Target, TargetError},
};

/// What to run, where and how.
#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    scenarios: ScenarioArgs,
    /// Where to deploy
    #[arg(long, value_enum, default_value_t = TargetKind::Auto, env = "PREFECT_E2E_TARGET")]
    target: TargetKind,
    /// The context of the kubeconfig, for `--target kubeconfig` [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
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
    /// Change the rendered objects: RFC 6902 or merge patches selected by kind and name
    #[arg(long, value_name = "FILE")]
    patch: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TargetKind {
    /// The kind cluster `prefect-e2e` when it is up, else the embedded one
    Auto,
    /// A Kubernetes of the program's own, without Docker
    Embedded,
    /// The cluster of a kubeconfig
    Kubeconfig,
}

impl RunCommand {
    pub(crate) async fn run(self) -> miette::Result<u8> {
        let scenarios = self.scenarios.choose()?;
        let options = self.options()?;
        let events = Events::new(self.sinks(), Secrets::default());
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
        let summary = run::run(scenarios, options, &events, &stop, || self.connect(&events)).await;
        listener.abort();
        let summary = summary.into_diagnostic()?;
        Ok(if stop.is_cancelled() {
            exit_code::INTERRUPTED
        } else if summary.failed.is_empty() {
            exit_code::PASSED
        } else {
            exit_code::FAILED
        })
    }

    fn options(&self) -> miette::Result<RunOptions> {
        let mut patches = Patches::default();
        for path in &self.patch {
            let text = std::fs::read_to_string(path)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot read the patches of {}", path.display()))?;
            patches.add(&path.display().to_string(), &text).into_diagnostic()?;
        }
        let jobs = if self.namespace.is_some() { 1 } else { self.jobs.unwrap_or_else(run::default_jobs) };
        Ok(RunOptions {
            jobs,
            prove: ProveOptions {
                patience: Duration::from_secs(self.timeout),
                keep: self.keep,
                patches,
                namespace: self.namespace.clone(),
            },
            fail_fast: self.fail_fast,
            retries: self.retries,
            rerun_arguments: self.rerun_arguments(),
        })
    }

    /// The arguments that make a rerun like this run.
    fn rerun_arguments(&self) -> String {
        let mut words = Vec::new();
        if self.target == TargetKind::Kubeconfig {
            words.push("--target kubeconfig".to_owned());
        }
        if let Some(context) = &self.context {
            words.push(format!("--context {context}"));
        }
        words.extend(self.patch.iter().map(|path| format!("--patch {}", path.display())));
        words.iter().map(|word| format!(" {word}")).collect()
    }

    fn sinks(&self) -> Vec<Box<dyn Sink>> {
        let options = TerminalOptions::of_process(Verbosity::Normal);
        vec![Box::new(Terminal::new(options, Box::new(std::io::stdout())))]
    }

    async fn connect(&self, events: &Events) -> Result<Box<dyn Target>, TargetError> {
        Ok(match self.target {
            TargetKind::Auto => Box::new(Embedded::start(events, "because no kind cluster prefect-e2e is up").await?),
            TargetKind::Embedded => Box::new(Embedded::start(events, "as asked for").await?),
            TargetKind::Kubeconfig => Box::new(Remote::connect(self.context.as_deref()).await?),
        })
    }
}
