//! What happens in a run, as one stream: everything that a person or a program learns of a run is a
//! sink of it and of nothing else.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::secrecy::Secrets;

/// The version of the events' format; it changes when a field changes its meaning or goes.
pub const EVENT_VERSION: u32 = 1;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub time: Timestamp,
    /// The scenario it belongs to; `None` for the run as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Happening {
    /// A run begins. Always the first event.
    RunStarted {
        /// [`EVENT_VERSION`].
        version: u32,
        /// Identifies the run; everything it creates in a cluster is labelled with it.
        run: String,
        /// The names of the scenarios, in the order in which they start.
        scenarios: Vec<String>,
        /// How many run at once.
        jobs: usize,
    },
    /// The cluster is there.
    TargetReady {
        /// `embedded`, `kind` or `kubeconfig`.
        target: String,
        /// Which cluster it is and why it was taken, in a sentence.
        about: String,
        /// The version of its API server.
        kubernetes: String,
        /// How long it took to be there.
        #[serde(with = "milliseconds")]
        took: Duration,
    },
    /// An image is made or found.
    Image {
        /// What is being done, in a line.
        message: String,
        /// Whether this ends the work on the image.
        done: bool,
    },
    /// A scenario begins.
    ScenarioStarted {
        /// What it is for.
        description: String,
        /// The namespace made for it; empty when its values are only rendered.
        namespace: String,
    },
    /// The objects that a scenario deploys.
    Rendered {
        /// As a YAML stream, without the content of Secrets.
        objects: String,
    },
    /// A step begins.
    StepStarted {
        /// Its name.
        step: String,
    },
    /// What a step sees from now on, such as the answer of a probe; what does not change is told once.
    StepProgress {
        /// Its name.
        step: String,
        /// What it sees.
        message: String,
    },
    /// A step has ended.
    StepEnded {
        /// Its name.
        step: String,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        #[serde(with = "milliseconds")]
        took: Duration,
    },
    /// A file about the scenario was written: a log, a screenshot.
    Artifact {
        /// What it is.
        about: String,
        /// Where it is.
        path: String,
    },
    /// Something to know that is not a verdict.
    Note {
        /// What.
        message: String,
    },
    /// A scenario has ended.
    ScenarioEnded {
        /// How.
        verdict: Verdict,
        /// How long it took, its namespace's removal included.
        #[serde(with = "milliseconds")]
        took: Duration,
    },
    /// The run has ended. Always the last event.
    RunEnded {
        /// How many scenarios passed, the flaky ones among them.
        passed: usize,
        /// How many failed.
        failed: usize,
        /// How many were not run.
        skipped: usize,
        /// How long it took.
        #[serde(with = "milliseconds")]
        took: Duration,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum Outcome {
    /// As it should.
    Passed {
        /// What was seen, in a line; may be empty.
        #[serde(default)]
        seen: String,
    },
    /// What it looks at is not there, for this reason.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Not as it should.
    Failed(Box<Failure>),
}

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// All steps passed or were skipped.
    Passed,
    /// It failed, and passed when it was tried again.
    Flaky,
    /// A step failed.
    Failed,
    /// It was not run, or its run was broken off.
    Skipped,
}

/// Why a step failed, the cause first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The cause in a line.
    pub cause: String,
    /// What should have been.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// The object that it is about, as `kind/name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// What was seen around it: states, events, last log lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// The command that runs just this again.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rerun: String,
}

/// Something seen around a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// What it is, such as `last log lines of pod/prefect-server-…`.
    pub title: String,
    /// Its lines.
    pub text: String,
}

/// Receives the events of a run, one after the other.
pub trait Sink: Send {
    /// Takes one event. Must not block for long: the run waits.
    fn take(&mut self, event: &Event);
}

/// Where events are published. Clones publish to the same sinks.
#[derive(Clone)]
pub struct Events {
    sinks: Arc<Mutex<Vec<Box<dyn Sink>>>>,
    secrets: Secrets,
}

impl Events {
    /// Events for `sinks`; what `secrets` knows never reaches them.
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn Sink>>, secrets: Secrets) -> Self {
        Self {
            sinks: Arc::new(Mutex::new(sinks)),
            secrets,
        }
    }

    /// The secrets that are hidden from the sinks.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Publishes what happened to `scenario`, or to the run.
    pub fn publish(&self, scenario: Option<&str>, what: Happening) {
        let event = Event {
            time: Timestamp::now(),
            scenario: scenario.map(str::to_owned),
            what,
        };
        let event = self.secrets.hide_in(&event);
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        for sink in sinks.iter_mut() {
            sink.take(&event);
        }
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Keeps what it is given.
    #[derive(Clone, Default)]
    pub(crate) struct Recorder(pub(crate) Arc<Mutex<Vec<Event>>>);

    impl Sink for Recorder {
        fn take(&mut self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    #[test]
    fn secrets_do_not_reach_a_sink() {
        let recorder = Recorder::default();
        let secrets = Secrets::default();
        secrets.learn("prefect-rocks");
        let events = Events::new(vec![Box::new(recorder.clone())], secrets);
        let failure = Failure {
            cause: "postgresql://prefect:prefect-rocks@db failed".into(),
            details: vec![Detail {
                title: "log".into(),
                text: "PGPASSWORD=prefect-rocks".into(),
            }],
            ..Failure::default()
        };
        let outcome = Outcome::Failed(Box::new(failure));
        let took = Duration::from_millis(1500);
        events.publish(
            Some("one"),
            Happening::StepEnded {
                step: "health".into(),
                outcome,
                took,
            },
        );
        let seen = recorder.0.lock().unwrap();
        let text = serde_json::to_string(&*seen).unwrap();
        assert!(!text.contains("prefect-rocks"), "{text}");
        assert!(
            text.contains(r#""event":"stepEnded""#) && text.contains(r#""took":1500"#),
            "{text}"
        );
        let read: Vec<Event> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, *seen);
    }
}
