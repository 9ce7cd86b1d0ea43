//! What an output remembers of a run.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    event::{Event, Happening},
    sink::scenario_record::ScenarioRecord,
};

/// How much of a run is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keep {
    /// Steps and how they ended.
    Outcomes,
    /// The versions of what was deployed and notes, too.
    Versions,
    /// The objects, what the steps saw on their way and artifacts, too.
    Everything,
}

/// A run so far.
#[derive(Debug)]
pub(super) struct RunRecord {
    keep: Keep,
    /// When the run began.
    pub(super) started: Option<Timestamp>,
    /// Identifies the run.
    pub(super) run: String,
    /// How many scenarios run at once.
    pub(super) jobs: usize,
    /// The cluster.
    pub(super) target: Option<TargetRecord>,
    /// The names of the scenarios, in the order in which they start.
    pub(super) names: Vec<String>,
    scenarios: BTreeMap<String, ScenarioRecord>,
    /// What was noted about the run as a whole.
    pub(super) notes: Vec<String>,
    /// How the run ended.
    pub(super) totals: Option<Totals>,
}

/// The cluster of a run.
#[derive(Debug, Clone)]
pub(super) struct TargetRecord {
    /// `embedded`, `kind` or `kubeconfig`.
    pub(super) target: String,
    /// Which cluster it is and why it was taken.
    pub(super) about: String,
    /// The version of its API server.
    pub(super) kubernetes: String,
    /// How long it took to be there.
    pub(super) took: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    pub(super) took: Duration,
}

// === impl RunRecord ===

impl RunRecord {
    pub(super) fn keeping(keep: Keep) -> Self {
        Self {
            keep,
            started: None,
            run: String::new(),
            jobs: 0,
            target: None,
            names: Vec::new(),
            scenarios: BTreeMap::new(),
            notes: Vec::new(),
            totals: None,
        }
    }

    /// The scenarios that something is known of, in the order in which they start.
    pub(super) fn scenarios(&self) -> impl Iterator<Item = (&str, &ScenarioRecord)> {
        self.names
            .iter()
            .filter_map(|name| Some((name.as_str(), self.scenarios.get(name)?)))
    }

    /// What is known of a scenario.
    pub(super) fn scenario(&self, name: &str) -> Option<&ScenarioRecord> {
        self.scenarios.get(name)
    }

    /// Forgets of a scenario what is large: what is left serves an overview.
    pub(super) fn strip(&mut self, name: &str) {
        if let Some(scenario) = self.scenarios.get_mut(name) {
            scenario.strip();
        }
    }

    /// Adds an event.
    pub(super) fn add(&mut self, event: &Event) {
        match &event.scenario {
            Some(name) => self.add_to_scenario(name, event),
            None => self.add_to_run(event),
        }
    }

    fn add_to_run(&mut self, event: &Event) {
        match &event.what {
            Happening::RunStarted {
                run, scenarios, jobs, ..
            } => {
                self.started = Some(event.time);
                self.run.clone_from(run);
                self.jobs = *jobs;
                self.names.clone_from(scenarios);
            }
            Happening::TargetReady {
                target,
                about,
                kubernetes,
                took,
            } => {
                self.target = Some(TargetRecord {
                    target: target.clone(),
                    about: about.clone(),
                    kubernetes: kubernetes.clone(),
                    took: *took,
                });
            }
            Happening::Note { message } if self.keep >= Keep::Versions => self.notes.push(message.clone()),
            Happening::RunEnded {
                passed,
                failed,
                skipped,
                took,
            } => {
                self.totals = Some(Totals {
                    passed: *passed,
                    failed: *failed,
                    skipped: *skipped,
                    took: *took,
                });
            }
            _ => {}
        }
    }

    fn add_to_scenario(&mut self, name: &str, event: &Event) {
        if !self.scenarios.contains_key(name) && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        let keep = self.keep;
        self.scenarios
            .entry(name.to_owned())
            .or_default()
            .add(event, keep);
    }
}
