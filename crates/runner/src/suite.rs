//! One embedded cluster for many scenarios, for test programs.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prefect_e2e_renderer::KubeVersion;
use prefect_e2e_scenarios::Scenario;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Event, Events, Failure, Happening, Outcome, Sink, Verdict},
    prove::{ProveOptions, Proving},
    run::run_id,
    secrecy::Secrets,
    step::Steps,
    target::{Embedded, Target, TargetError},
};

/// An embedded cluster that scenarios are proven on, one after the other or at once.
pub struct Suite {
    target: Arc<Box<dyn Target>>,
    run: String,
    proven: AtomicUsize,
}

/// What became of a scenario.
#[derive(Debug, Clone)]
pub struct Proven {
    /// Its verdict.
    pub verdict: Verdict,
    /// It failed because this machine lacks what is needed: nothing was proven either way.
    pub unusable: bool,
    /// Its steps in order, and how each ended.
    pub steps: Vec<(String, Outcome, Duration)>,
}

impl Proven {
    /// The step that failed, and why.
    #[must_use]
    pub fn failure(&self) -> Option<(&str, &Failure)> {
        self.steps.iter().find_map(|(step, outcome, _)| match outcome {
            Outcome::Failed(failure) => Some((step.as_str(), &**failure)),
            _ => None,
        })
    }
}

impl Suite {
    /// Starts the cluster.
    ///
    /// # Errors
    /// When the kernel forbids namespaces, or the cache of images cannot be used.
    pub async fn start() -> Result<Self, TargetError> {
        let events = Events::new(Vec::new(), Secrets::default());
        let target: Box<dyn Target> = Box::new(Embedded::start(&events, "for tests").await?);
        Ok(Self {
            target: Arc::new(target),
            run: run_id(),
            proven: AtomicUsize::new(0),
        })
    }

    /// Proves a scenario.
    pub async fn prove(&self, scenario: &Scenario, options: ProveOptions) -> Proven {
        let recorder = Recorder::default();
        let events = Events::new(vec![Box::new(recorder.clone())], Secrets::default());
        let number = self.proven.fetch_add(1, Ordering::Relaxed);
        let proving = Proving {
            scenario: scenario.clone(),
            options: Arc::new(options),
            target: self.target.clone(),
            kube_version: KubeVersion::default(),
            run: format!("{}-{number}", self.run),
            steps: Steps::new(
                events,
                &scenario.name,
                format!("prefect-e2e run {}", scenario.name),
            ),
            stop: CancellationToken::new(),
            after_failure: false,
        };
        let ended = proving.prove().await;
        let steps = std::mem::take(&mut *recorder.0.lock().unwrap_or_else(PoisonError::into_inner));
        Proven {
            verdict: ended.verdict,
            unusable: ended.unusable,
            steps,
        }
    }
}

/// Keeps how steps ended.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(String, Outcome, Duration)>>>);

impl Sink for Recorder {
    fn take(&mut self, event: &Event) {
        if let Happening::StepEnded { step, outcome, took } = &event.what {
            let step = (step.clone(), outcome.clone(), *took);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        }
    }
}
