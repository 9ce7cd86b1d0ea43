//! A run to test the outputs with: two failures, a flaky scenario, a skipped one, artifacts.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::event::{Event, Happening};

/// The events of the run.
pub(crate) fn events() -> Vec<Event> {
    let lines = include_str!("fixtures/run.ndjson").lines();
    lines
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// An event of the run as a whole, at an arbitrary time.
pub(crate) fn event(scenario: Option<&str>, what: Happening) -> Event {
    Event {
        time: jiff::Timestamp::UNIX_EPOCH,
        scenario: scenario.map(str::to_owned),
        what,
    }
}

/// The begin of a run of scenarios.
pub(crate) fn run_started(scenarios: &[&str]) -> Event {
    let scenarios = scenarios.iter().map(|name| (*name).to_owned()).collect();
    event(
        None,
        Happening::RunStarted {
            version: 1,
            run: "r-1".into(),
            scenarios,
            jobs: 4,
        },
    )
}

/// The end of a run in which nothing failed.
pub(crate) fn run_ended() -> Event {
    event(
        None,
        Happening::RunEnded {
            passed: 1,
            failed: 0,
            skipped: 0,
            took: Duration::from_secs(1),
        },
    )
}

/// Keeps what is written to it. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
