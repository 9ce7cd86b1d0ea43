//! The steps of a scenario: each is told when it begins, what it sees, and how it ends.

use std::{
    future::Future,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use crate::{
    check::{Broken, Seen, Verdict},
    deploy::Place,
    diagnosis::Diagnosis,
    event::{Events, Happening, Outcome},
};

/// Runs the steps of one scenario and publishes them.
pub(crate) struct Steps {
    events: Events,
    scenario: String,
    rerun: String,
    deployed: OnceLock<Place>,
}

/// Says what a step sees at the moment.
#[derive(Clone)]
pub(crate) struct Progress {
    events: Events,
    scenario: String,
    step: String,
    said: Arc<Mutex<String>>,
}

/// A step has failed, which was published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepFailed {
    /// The machine lacks what is needed.
    pub(crate) of_the_environment: bool,
}

impl Steps {
    /// Steps of `scenario`, which the command `rerun` runs again.
    pub(crate) fn new(events: Events, scenario: &str, rerun: String) -> Self {
        Self {
            events,
            scenario: scenario.to_owned(),
            rerun,
            deployed: OnceLock::new(),
        }
    }

    /// From now on a step that fails tells what its namespace looks like, too.
    pub(crate) fn deployed_in(&self, place: &Place) {
        self.deployed.get_or_init(|| place.clone());
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn publish(&self, what: Happening) {
        self.events.publish(Some(&self.scenario), what);
    }

    /// Runs a step that gives a value; `seen` says what was seen, in a line.
    pub(crate) async fn make<T, F>(
        &self,
        step: &str,
        seen: impl FnOnce(&T) -> String,
        work: impl FnOnce(Progress) -> F,
    ) -> Result<T, StepFailed>
    where
        F: Future<Output = Result<T, Broken>>,
    {
        let begin = self.begin(step);
        let result = work(self.progress(step)).await;
        let (outcome, result) = match result {
            Ok(value) => (Outcome::Passed { seen: seen(&value) }, Ok(value)),
            Err(broken) => self.failed(broken).await,
        };
        self.end(step, outcome, begin);
        result
    }

    /// Runs a check.
    pub(crate) async fn check<F>(
        &self,
        step: &str,
        work: impl FnOnce(Progress) -> F,
    ) -> Result<(), StepFailed>
    where
        F: Future<Output = Seen>,
    {
        let begin = self.begin(step);
        let (outcome, result) = match work(self.progress(step)).await {
            Ok(Verdict::Holds(seen)) => (Outcome::Passed { seen }, Ok(())),
            Ok(Verdict::Skipped(reason)) => (Outcome::Skipped { reason }, Ok(())),
            Err(broken) => self.failed(broken).await,
        };
        self.end(step, outcome, begin);
        result
    }

    fn progress(&self, step: &str) -> Progress {
        Progress {
            events: self.events.clone(),
            scenario: self.scenario.clone(),
            step: step.to_owned(),
            said: Arc::default(),
        }
    }

    fn begin(&self, step: &str) -> Instant {
        self.publish(Happening::StepStarted {
            step: step.to_owned(),
        });
        Instant::now()
    }

    fn end(&self, step: &str, outcome: Outcome, begin: Instant) {
        self.publish(Happening::StepEnded {
            step: step.to_owned(),
            outcome,
            took: begin.elapsed(),
        });
    }

    async fn failed<T>(&self, mut broken: Broken) -> (Outcome, Result<T, StepFailed>) {
        if let Some(place) = self.deployed.get().filter(|_| !broken.has_details()) {
            broken = broken.details(Diagnosis::of(place).await.details());
        }
        let failed = StepFailed {
            of_the_environment: broken.is_of_the_environment(),
        };
        (
            Outcome::Failed(Box::new(broken.into_failure(self.rerun.clone()))),
            Err(failed),
        )
    }
}

impl Progress {
    /// Names a file that was written about the scenario.
    pub(crate) fn artifact(&self, about: &str, path: &std::path::Path) {
        let what = Happening::Artifact {
            about: about.to_owned(),
            path: path.display().to_string(),
        };
        self.events.publish(Some(&self.scenario), what);
    }

    /// Says what is seen, in a line, unless it is what was said last.
    pub(crate) fn say(&self, message: impl Into<String>) {
        let message = message.into();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == message {
            return;
        }
        said.clone_from(&message);
        drop(said);
        let what = Happening::StepProgress {
            step: self.step.clone(),
            message,
        };
        self.events.publish(Some(&self.scenario), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Sink, secrecy::Secrets};

    #[derive(Clone, Default)]
    struct Messages(Arc<Mutex<Vec<String>>>);

    impl Sink for Messages {
        fn take(&mut self, event: &crate::event::Event) {
            if let Happening::StepProgress { message, .. } = &event.what {
                self.0.lock().unwrap().push(message.clone());
            }
        }
    }

    #[test]
    fn what_does_not_change_is_said_once() {
        let messages = Messages::default();
        let events = Events::new(vec![Box::new(messages.clone())], Secrets::default());
        let progress = Steps::new(events, "sqlite", String::new()).progress("rollout");
        for message in ["503", "503", "200", "503"] {
            progress.say(message);
        }
        assert_eq!(*messages.0.lock().unwrap(), ["503", "200", "503"]);
    }
}
