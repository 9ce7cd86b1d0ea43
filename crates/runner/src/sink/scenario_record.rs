//! What an output remembers of a scenario and its steps.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    event::{Event, Failure, Happening, Outcome, Verdict},
    sink::{record::Keep, versions::Versions},
};

/// More of what one step saw on its way than this is not remembered: a run of hours must not grow.
const MOST_PROGRESS: usize = 200;

/// A scenario so far.
#[derive(Debug, Default)]
pub(super) struct ScenarioRecord {
    pub(super) description: String,
    pub(super) namespace: String,
    /// When its first attempt began; `None` when it never did.
    pub(super) first_started: Option<Timestamp>,
    /// When its latest attempt began; `None` when it never did.
    pub(super) started: Option<Timestamp>,
    /// The steps of the latest attempt, in the order in which they began.
    pub(super) steps: Vec<StepRecord>,
    /// The steps that failed in attempts before the latest.
    earlier: Vec<StepRecord>,
    /// How long those attempts took that ended before the latest.
    earlier_took: Duration,
    pub(super) versions: Versions,
    /// The objects as a YAML stream.
    pub(super) objects: String,
    pub(super) artifacts: Vec<ArtifactRecord>,
    pub(super) notes: Vec<String>,
    /// How it ended and how long it took.
    pub(super) ended: Option<(Verdict, Duration)>,
}

/// A step so far.
#[derive(Debug)]
pub(super) struct StepRecord {
    pub(super) name: String,
    pub(super) started: Timestamp,
    /// What it saw on its way, and when; the same in a row once.
    pub(super) progress: Vec<(Timestamp, String)>,
    /// How it ended and how long it took.
    pub(super) ended: Option<(Outcome, Duration)>,
}

/// A file about a scenario.
#[derive(Debug)]
pub(super) struct ArtifactRecord {
    pub(super) about: String,
    pub(super) path: String,
}

// === impl ScenarioRecord ===

impl ScenarioRecord {
    /// The steps that failed, with their failures.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&StepRecord, &Failure)> {
        self.steps.iter().filter_map(|step| Some((step, step.failure()?)))
    }

    /// The steps that failed in attempts before the latest, with their failures.
    pub(super) fn earlier_failures(&self) -> impl Iterator<Item = (&StepRecord, &Failure)> {
        self.earlier
            .iter()
            .filter_map(|step| Some((step, step.failure()?)))
    }

    /// Forgets what is large: what is left serves an overview.
    pub(super) fn strip(&mut self) {
        self.objects = String::new();
        self.artifacts = Vec::new();
        for step in self.steps.iter_mut().chain(&mut self.earlier) {
            step.progress = Vec::new();
        }
    }

    /// Whether it failed, and no step says why: its namespace does not go, say. The notes may tell.
    pub(super) fn failed_outside_its_steps(&self) -> bool {
        matches!(self.ended, Some((Verdict::Failed, _))) && self.failures().next().is_none()
    }

    /// The latest attempt at the step `name`.
    fn step(&mut self, name: &str) -> Option<&mut StepRecord> {
        self.steps.iter_mut().rev().find(|step| step.name == name)
    }

    /// Adds an event.
    pub(super) fn add(&mut self, event: &Event, keep: Keep) {
        match &event.what {
            Happening::ScenarioStarted {
                description,
                namespace,
            } => {
                let failed = self.steps.drain(..).filter(|step| step.failure().is_some());
                self.earlier.extend(failed);
                self.description.clone_from(description);
                self.namespace.clone_from(namespace);
                self.first_started.get_or_insert(event.time);
                self.started = Some(event.time);
                let earlier = self.ended.take().map(|(_, took)| took);
                self.earlier_took += earlier.unwrap_or_default();
            }
            Happening::StepStarted { step } => self.steps.push(StepRecord::new(step, event.time)),
            Happening::StepEnded { step, outcome, took } => self.end_step(step, outcome, *took, event.time),
            Happening::ScenarioEnded { verdict, took } => self.end(*verdict, *took),
            Happening::Note { message } if keep >= Keep::Versions => self.notes.push(message.clone()),
            Happening::Rendered { objects } if keep >= Keep::Versions => {
                self.versions = Versions::of(objects);
                if keep == Keep::Everything {
                    self.objects.clone_from(objects);
                }
            }
            detail if keep == Keep::Everything => self.add_detail(detail, event.time),
            _ => {}
        }
    }

    /// An attempt that passes makes one before it that failed a flaky scenario.
    fn end(&mut self, verdict: Verdict, took: Duration) {
        let failed_before = !self.earlier.is_empty() || !self.earlier_took.is_zero();
        let verdict = if verdict == Verdict::Passed && failed_before {
            Verdict::Flaky
        } else {
            verdict
        };
        self.ended = Some((verdict, self.earlier_took + took));
    }

    /// A step may end without having begun: what is skipped never does.
    fn end_step(&mut self, name: &str, outcome: &Outcome, took: Duration, now: Timestamp) {
        let ended = Some((outcome.clone(), took));
        match self.step(name).filter(|step| step.ended.is_none()) {
            Some(step) => step.ended = ended,
            None => self.steps.push(StepRecord {
                ended,
                ..StepRecord::new(name, now)
            }),
        }
    }

    fn add_detail(&mut self, detail: &Happening, now: Timestamp) {
        match detail {
            Happening::StepProgress { step, message } => {
                if let Some(step) = self.step(step) {
                    step.progressed(message, now);
                }
            }
            Happening::Artifact { about, path } => {
                self.artifacts.push(ArtifactRecord {
                    about: about.clone(),
                    path: path.clone(),
                });
            }
            _ => {}
        }
    }
}

// === impl StepRecord ===

impl StepRecord {
    fn new(name: &str, started: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            started,
            progress: Vec::new(),
            ended: None,
        }
    }

    /// How it ended, if it did.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.ended.as_ref().map(|(outcome, _)| outcome)
    }

    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self.outcome() {
            Some(Outcome::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    fn progressed(&mut self, message: &str, now: Timestamp) {
        let is_news = self.progress.last().is_none_or(|(_, last)| last != message);
        if is_news && !message.is_empty() && self.progress.len() < MOST_PROGRESS {
            self.progress.push((now, message.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{record::RunRecord, sample};

    fn attempt(record: &mut RunRecord, verdict: Verdict) {
        let (description, namespace) = (String::new(), String::new());
        let outcome = match verdict {
            Verdict::Failed => Outcome::Failed(Box::default()),
            _ => Outcome::Passed { seen: String::new() },
        };
        let took = Duration::from_secs(2);
        for what in [
            Happening::ScenarioStarted {
                description,
                namespace,
            },
            Happening::StepEnded {
                step: "health".into(),
                outcome,
                took,
            },
            Happening::ScenarioEnded { verdict, took },
        ] {
            record.add(&sample::event(Some("one"), what));
        }
    }

    #[test]
    fn a_scenario_that_fails_and_then_passes_is_flaky() {
        let mut record = RunRecord::keeping(Keep::Outcomes);
        attempt(&mut record, Verdict::Failed);
        attempt(&mut record, Verdict::Passed);
        let scenario = record.scenario("one").unwrap();
        assert_eq!(scenario.ended, Some((Verdict::Flaky, Duration::from_secs(4))));
        assert_eq!(
            (scenario.failures().count(), scenario.earlier_failures().count()),
            (0, 1)
        );
    }

    #[test]
    fn what_is_seen_again_and_again_is_kept_once() {
        let mut record = RunRecord::keeping(Keep::Everything);
        let step = "health".to_owned();
        record.add(&sample::event(
            Some("one"),
            Happening::StepStarted { step: step.clone() },
        ));
        for message in ["refused", "refused", "200", "refused"] {
            let message = message.to_owned();
            record.add(&sample::event(
                Some("one"),
                Happening::StepProgress {
                    step: step.clone(),
                    message,
                },
            ));
        }
        assert_eq!(record.scenario("one").unwrap().steps[0].progress.len(), 3);
        for index in 0..10_000 {
            let message = index.to_string();
            record.add(&sample::event(
                Some("one"),
                Happening::StepProgress {
                    step: step.clone(),
                    message,
                },
            ));
        }
        assert_eq!(
            record.scenario("one").unwrap().steps[0].progress.len(),
            MOST_PROGRESS
        );
    }
}
