//! `prefect-e2e watch`: proves one scenario again whenever its files change, on the same cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use clap::Args;
use miette::{IntoDiagnostic as _, WrapErr as _};
use prefect_e2e_renderer::KubeVersion;
use prefect_e2e_scenarios::{Requirements, Scenario, load};
use tokio_util::sync::CancellationToken;

use crate::{
    deploy_args::DeployArgs,
    event::{EVENT_VERSION, Events, Happening, Verdict},
    exit_code,
    prove::Proving,
    release::Made,
    report_args::TerminalArgs,
    run::{run_id, tell_target},
    scenario_args::OneScenario,
    secrecy::Secrets,
    signals::stop_on_signals,
    step::Steps,
    target::{Target, TargetArgs},
    watch::Watched,
};

/// What to watch, and where to deploy it.
#[derive(Debug, Args)]
pub(crate) struct WatchCommand {
    #[command(flatten)]
    scenario: OneScenario,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    deploy: DeployArgs,
    #[command(flatten)]
    terminal: TerminalArgs,
}

/// What goes on from one round to the next.
struct Session {
    target: Arc<Box<dyn Target>>,
    kube_version: KubeVersion,
    run: String,
    secrets: Secrets,
    stop: CancellationToken,
    made: Made,
    /// What was made beforehand, for the scenario as it was.
    requires: Requirements,
    /// The round before, which removes what all have made.
    last: Option<Proving>,
}

impl WatchCommand {
    /// Proves the scenario now and after every change, until Ctrl-C.
    pub(crate) async fn run(self) -> miette::Result<u8> {
        self.target.check()?;
        let file = self.scenario.file()?;
        load(&file).into_diagnostic()?;
        let mut watched = Watched::new(&self.watched(&file))
            .into_diagnostic()
            .wrap_err("cannot watch the scenario's files")?;
        let stop = CancellationToken::new();
        let listener = stop_on_signals(&stop)?;
        let secrets = Secrets::default();
        let events = Events::new(vec![self.terminal.sink()], secrets.clone());
        let begin = Instant::now();
        let target = self.target.connect(false, &events).await.into_diagnostic()?;
        let mut session = Session {
            kube_version: tell_target(&*target, &events, begin).await.into_diagnostic()?,
            target: Arc::new(target),
            run: run_id(),
            secrets,
            stop: stop.clone(),
            made: Made::default(),
            requires: Requirements::default(),
            last: None,
        };
        while !stop.is_cancelled() {
            tokio::select! {
                changed = self.round(&mut session, &file, &mut watched) => {
                    eprintln!("\n{} changed", changed.display());
                }
                () = stop.cancelled() => {}
            }
        }
        let ended = session.end().await;
        listener.abort();
        ended
    }

    /// The scenario's file, the patches and the chart, where it is a directory.
    fn watched(&self, file: &Path) -> Vec<PathBuf> {
        let chart = self
            .deploy
            .chart
            .iter()
            .map(PathBuf::from)
            .filter(|path| path.exists());
        let patches = self.deploy.patch.iter().cloned();
        [file.to_owned()]
            .into_iter()
            .chain(patches)
            .chain(chart)
            .collect()
    }

    /// Proves the scenario as its files are now; returns what has changed, be it while it is proven.
    async fn round(&self, session: &mut Session, file: &Path, watched: &mut Watched) -> PathBuf {
        match self.proving(session, file) {
            Ok(proving) => {
                tokio::select! {
                    () = session.prove(proving) => {}
                    changed = watched.change() => return changed,
                }
            }
            Err(report) => eprintln!("{report:?}"),
        }
        eprintln!(
            "waiting for a change of {} and what it uses; Ctrl-C ends",
            file.display()
        );
        watched.change().await
    }

    fn proving(&self, session: &Session, file: &Path) -> miette::Result<Proving> {
        let scenario = load(file).into_diagnostic()?;
        let events = Events::new(vec![self.terminal.sink()], session.secrets.clone());
        let rerun = format!("prefect-e2e run {}", scenario.name);
        Ok(Proving {
            steps: Steps::new(events, &scenario.name, rerun),
            scenario,
            options: Arc::new(self.deploy.prove_options()?),
            target: session.target.clone(),
            kube_version: session.kube_version,
            run: session.run.clone(),
            stop: session.stop.clone(),
            after_failure: false,
        })
    }
}

impl Session {
    async fn prove(&mut self, proving: Proving) {
        let begin = Instant::now();
        let events = proving.steps.events().clone();
        let Scenario { name, file } = proving.scenario.clone();
        events.publish(
            None,
            Happening::RunStarted {
                version: EVENT_VERSION,
                run: self.run.clone(),
                scenarios: vec![name],
                jobs: 1,
            },
        );
        let afresh = file.requires != self.requires;
        self.requires = file.requires;
        let proving = self.last.insert(proving);
        let verdict = proving.prove_again(&mut self.made, afresh).await;
        events.publish(
            None,
            Happening::RunEnded {
                passed: usize::from(verdict == Verdict::Passed),
                failed: usize::from(verdict == Verdict::Failed),
                skipped: usize::from(verdict == Verdict::Skipped),
                took: begin.elapsed(),
            },
        );
    }

    /// Removes what was made.
    async fn end(self) -> miette::Result<u8> {
        if let Some(last) = self.last {
            let place = last.place();
            // what is left is told as a step, and ends with the cluster
            let _ = last.leave(&place, self.made, Verdict::Skipped).await;
        }
        if let Some(target) = Arc::into_inner(self.target) {
            target.tear_down().await.into_diagnostic()?;
        }
        Ok(exit_code::PASSED)
    }
}
