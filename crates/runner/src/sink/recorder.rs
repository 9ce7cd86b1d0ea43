//! Fills the history with what a run shows.

use std::time::Duration;

use crate::{
    event::{Event, Happening, Sink},
    history::History,
    sink::trouble::Trouble,
};

/// Records verdicts and times in a history, and saves it when the run has ended or is broken off.
pub struct Recorder {
    history: History,
    measures: bool,
    is_saved: bool,
    trouble: Trouble,
}

impl Recorder {
    /// Records verdicts and times.
    #[must_use]
    pub fn new(history: History) -> Self {
        Self {
            history,
            measures: true,
            is_saved: true,
            trouble: Trouble::with("the history of runs"),
        }
    }

    /// Records verdicts alone, for a run of one shard: were it to change the times, the shards that are
    /// run after it on the same machine would be cut differently, and a scenario fall between them.
    #[must_use]
    pub fn of_shard(history: History) -> Self {
        let mut recorder = Self::new(history);
        recorder.measures = false;
        recorder
    }

    fn took(&self, took: Duration) -> Option<Duration> {
        self.measures.then_some(took)
    }

    fn save(&mut self) {
        if !self.is_saved {
            self.is_saved = true;
            let saved = self.history.save();
            self.trouble.check(saved);
        }
    }
}

impl Sink for Recorder {
    fn take(&mut self, event: &Event) {
        match (&event.scenario, &event.what) {
            (Some(scenario), Happening::ScenarioEnded { verdict, took }) => {
                let took = self.took(*took);
                self.history.record(scenario, *verdict, took);
                self.is_saved = false;
            }
            (_, Happening::RunEnded { .. }) => self.save(),
            _ => {}
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.save();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::sample;

    #[test]
    fn a_run_is_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = Recorder::new(History::load(directory.path()).unwrap());
        sample::events().iter().for_each(|event| sink.take(event));
        let history = History::load(directory.path()).unwrap();
        assert_eq!(
            history.failed(),
            ["external-postgres-ssl", "separate-background-services"]
        );
        assert_eq!(
            history.duration("refuses-old-image-tag"),
            Some(Duration::from_millis(2))
        );
        assert_eq!(history.duration("ingress"), None);
    }

    #[test]
    fn a_shard_does_not_change_how_shards_are_cut() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = Recorder::of_shard(History::load(directory.path()).unwrap());
        sample::events().iter().for_each(|event| sink.take(event));
        let history = History::load(directory.path()).unwrap();
        assert_eq!(history.failed().len(), 2);
        assert_eq!(history.duration("sqlite"), None);
    }

    #[test]
    fn what_a_broken_off_run_showed_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = Recorder::new(History::load(directory.path()).unwrap());
        let events = sample::events();
        events[..events.len() - 1]
            .iter()
            .for_each(|event| sink.take(event));
        drop(sink);
        assert_eq!(History::load(directory.path()).unwrap().failed().len(), 2);
    }
}
