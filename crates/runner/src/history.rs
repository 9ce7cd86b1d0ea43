//! What is remembered from one run to the next: how each scenario ended last, and how long it took. It
//! serves `--failed`, `--shard` and the order in which scenarios start.

mod shard;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::shard::{NotAShard, Shard};
use crate::{event::Verdict, sink::whole_file};

/// The version of the file; a file of another version is not read.
const VERSION: u32 = 1;

/// Expected of a scenario when nothing is known of any: all weigh the same.
const GUESS: Duration = Duration::from_secs(30);

/// How the scenarios ended last, and how long they took.
#[derive(Debug, Clone)]
pub struct History {
    directory: PathBuf,
    scenarios: BTreeMap<String, Entry>,
    /// What was recorded since it was loaded.
    recorded: BTreeMap<String, Entry>,
}

/// What is known of one scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    verdict: Option<Verdict>,
    /// In milliseconds.
    took: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    scenarios: BTreeMap<String, Entry>,
}

/// The history cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be read or written.
    #[error("cannot access the history {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a history.
    #[error("the history {} is damaged; delete it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file was written by another version of this program.
    #[error("the history {} has version {found}, not {VERSION}; delete it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

// === impl History ===

impl History {
    /// An empty history that is to be saved in `directory`: what to go on with when the one there is
    /// damaged.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            scenarios: BTreeMap::new(),
            recorded: BTreeMap::new(),
        }
    }

    /// The history in `directory`; an empty one when there is none.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is of another version.
    pub fn load(directory: &Path) -> Result<Self, HistoryError> {
        let scenarios = read(&directory.join("history.json"))?;
        Ok(Self {
            scenarios,
            ..Self::new(directory)
        })
    }

    /// Records how a scenario ended and how long it took. One that was not run keeps what is known of it.
    pub fn record(&mut self, name: &str, verdict: Verdict, took: Option<Duration>) {
        if verdict == Verdict::Skipped {
            return;
        }
        let entry = self.scenarios.entry(name.to_owned()).or_default();
        entry.verdict = Some(verdict);
        if let Some(took) = took {
            entry.took = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        }
        self.recorded.insert(name.to_owned(), *entry);
    }

    /// Writes what was recorded, and keeps what another run has written since this was loaded. A damaged
    /// file is replaced.
    ///
    /// # Errors
    /// When it cannot be written, or the file there is of another version.
    pub fn save(&mut self) -> Result<(), HistoryError> {
        let path = self.directory.join("history.json");
        let failed = |source| HistoryError::File {
            path: path.clone(),
            source,
        };
        let lock = lock(&self.directory).map_err(failed)?;
        let mut scenarios = match read(&path) {
            Err(HistoryError::Damaged { .. }) => BTreeMap::new(),
            read => read?,
        };
        scenarios.extend(std::mem::take(&mut self.recorded));
        self.scenarios.clone_from(&scenarios);
        let document = Document {
            version: VERSION,
            scenarios,
        };
        let written = whole_file::write(&path, |out| {
            serde_json::to_writer_pretty(&mut *out, &document)?;
            out.write_all(b"\n")
        });
        drop(lock);
        written.map_err(failed)
    }

    /// The scenarios that failed when they were last run, by name. Those of them that exist no more are
    /// among them.
    #[must_use]
    pub fn failed(&self) -> Vec<String> {
        let failed = self
            .scenarios
            .iter()
            .filter(|(_, entry)| entry.verdict == Some(Verdict::Failed));
        failed.map(|(name, _)| name.clone()).collect()
    }

    /// How long a scenario took when it was last measured.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.scenarios.get(name)?.took.map(Duration::from_millis)
    }

    /// `names`, those that take long first: started in this order, a run ends soonest.
    #[must_use]
    pub fn longest_first(&self, names: &[String]) -> Vec<String> {
        let unknown = self.typical_duration();
        let mut names = names.to_vec();
        let expected = |name: &str| self.duration(name).unwrap_or(unknown);
        names.sort_by(|a, b| expected(b).cmp(&expected(a)).then_with(|| a.cmp(b)));
        names
    }

    /// The part of `names` that belongs to `shard`, those that take long first. Each name is in exactly
    /// one shard, and the shards take about the same time, provided that all of them are computed from the
    /// same names and the same history.
    #[must_use]
    pub fn shard(&self, names: &[String], shard: Shard) -> Vec<String> {
        let unknown = self.typical_duration();
        let mut loads = vec![(Duration::ZERO, 0_usize); shard.count()];
        let mut part = Vec::new();
        for name in self.longest_first(names) {
            // the number of names decides between equal times: scenarios of no time spread out, too
            let lightest = (0..shard.count()).min_by_key(|index| loads[*index]).unwrap_or(0);
            loads[lightest].0 += self.duration(&name).unwrap_or(unknown);
            loads[lightest].1 += 1;
            if lightest + 1 == shard.index() {
                part.push(name);
            }
        }
        part
    }

    /// The median of what is known, expected of what is not.
    fn typical_duration(&self) -> Duration {
        let mut known: Vec<_> = self.scenarios.values().filter_map(|entry| entry.took).collect();
        known.sort_unstable();
        known
            .get(known.len() / 2)
            .map_or(GUESS, |took| Duration::from_millis(*took))
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Entry>, HistoryError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => {
            return Err(HistoryError::File {
                path: path.to_owned(),
                source,
            });
        }
    };
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let damaged = |source| HistoryError::Damaged {
        path: path.to_owned(),
        source,
    };
    let head: Head = serde_json::from_slice(&text).map_err(damaged)?;
    if head.version != VERSION {
        return Err(HistoryError::Version {
            path: path.to_owned(),
            found: head.version,
        });
    }
    let document: Document = serde_json::from_slice(&text).map_err(damaged)?;
    Ok(document.scenarios)
}

/// Holds others off between reading and writing; the file itself is replaced, so it cannot be the lock.
fn lock(directory: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    let path = directory.join("history.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn history(directory: &Path, scenarios: &[(&str, Verdict, u64)]) -> History {
        let mut history = History::load(directory).unwrap();
        for (name, verdict, seconds) in scenarios {
            history.record(name, *verdict, Some(Duration::from_secs(*seconds)));
        }
        history
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_last_verdict_and_time_of_each_scenario_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let first = [
            ("a", Verdict::Failed, 3),
            ("b", Verdict::Failed, 5),
            ("c", Verdict::Flaky, 7),
        ];
        history(&state, &first).save().unwrap();
        history(&state, &[("a", Verdict::Passed, 2), ("b", Verdict::Skipped, 0)])
            .save()
            .unwrap();
        let history = History::load(&state).unwrap();
        assert_eq!(history.failed(), ["b"]);
        assert_eq!(history.duration("a"), Some(Duration::from_secs(2)));
        assert_eq!(history.duration("b"), Some(Duration::from_secs(5)));
        assert_eq!(history.duration("d"), None);
    }

    #[test]
    fn a_verdict_without_a_time_keeps_the_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut history = history(directory.path(), &[("a", Verdict::Passed, 3)]);
        history.record("a", Verdict::Failed, None);
        assert_eq!(history.failed(), ["a"]);
        assert_eq!(history.duration("a"), Some(Duration::from_secs(3)));
    }

    #[test]
    fn runs_at_once_keep_what_the_other_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let mut one = history(directory.path(), &[("a", Verdict::Failed, 1)]);
        let mut other = history(directory.path(), &[("b", Verdict::Failed, 1)]);
        one.save().unwrap();
        other.save().unwrap();
        assert_eq!(History::load(directory.path()).unwrap().failed(), ["a", "b"]);
    }

    #[rstest]
    #[case::damaged("{\"version\": 1", "is damaged; delete it")]
    #[case::future("{\"version\": 9, \"new\": []}", "has version 9, not 1; delete it")]
    fn what_is_no_history_is_told(#[case] text: &str, #[case] message: &str) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("history.json"), text).unwrap();
        let error = History::load(directory.path()).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }

    #[test]
    fn a_damaged_history_is_replaced_by_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let mut history = history(directory.path(), &[("a", Verdict::Failed, 1)]);
        fs::write(directory.path().join("history.json"), "{").unwrap();
        history.save().unwrap();
        assert_eq!(History::load(directory.path()).unwrap().failed(), ["a"]);
    }

    #[test]
    fn scenarios_are_ordered_by_time_and_new_ones_are_typical() {
        let directory = tempfile::tempdir().unwrap();
        let known = [
            ("short", Verdict::Passed, 1),
            ("middle", Verdict::Passed, 5),
            ("long", Verdict::Passed, 9),
        ];
        let history = history(directory.path(), &known);
        let ordered = history.longest_first(&owned(&["short", "new", "long", "middle"]));
        assert_eq!(ordered, ["long", "middle", "new", "short"]);
    }

    #[test]
    fn shards_take_the_same_time() {
        let directory = tempfile::tempdir().unwrap();
        let known = [
            ("a", Verdict::Passed, 8),
            ("b", Verdict::Passed, 5),
            ("c", Verdict::Passed, 4),
            ("d", Verdict::Passed, 3),
            ("refused-1", Verdict::Passed, 0),
            ("refused-2", Verdict::Passed, 0),
        ];
        let history = history(directory.path(), &known);
        let names = owned(&known.map(|(name, ..)| name));
        assert_eq!(history.shard(&names, "1/2".parse().unwrap()), ["a", "d"]);
        assert_eq!(
            history.shard(&names, "2/2".parse().unwrap()),
            ["b", "c", "refused-1", "refused-2"]
        );
    }

    proptest! {
        #[test]
        fn every_scenario_is_in_one_shard(
            known in prop::collection::btree_map("[a-f]{1,2}", 0_u64..100, 0..30),
            names in prop::collection::btree_set("[a-f]{1,2}", 0..30),
            count in 1_usize..7,
        ) {
            let mut history = History::new(Path::new("/nowhere"));
            for (name, seconds) in &known {
                history.record(name, Verdict::Passed, Some(Duration::from_secs(*seconds)));
            }
            let names: Vec<_> = names.into_iter().collect();
            let backwards: Vec<_> = names.iter().rev().cloned().collect();
            let mut seen = BTreeSet::new();
            let mut loads = Vec::new();
            let typical = history.typical_duration();
            let expected = |name: &String| history.duration(name).unwrap_or(typical);
            for index in 1..=count {
                let part = history.shard(&names, Shard::new(index, count).unwrap());
                prop_assert_eq!(&part, &history.shard(&backwards, Shard::new(index, count).unwrap()));
                loads.push(part.iter().map(expected).sum::<Duration>());
                for name in part {
                    prop_assert!(seen.insert(name));
                }
            }
            prop_assert_eq!(seen.len(), names.len());
            // what was put last on the heaviest went there because it was the lightest then
            let longest = names.iter().map(expected).max().unwrap_or_default();
            let difference = *loads.iter().max().unwrap() - *loads.iter().min().unwrap();
            prop_assert!(difference <= longest);
        }
    }
}
