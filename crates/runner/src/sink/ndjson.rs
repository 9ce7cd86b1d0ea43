//! The run's events as they are, for programs: one JSON object a line, described in docs/events.md.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    event::{Event, Sink},
    sink::trouble::Trouble,
};

/// Writes every event as a line of JSON, at once, so that a reader may follow the run.
pub struct Ndjson {
    path: PathBuf,
    out: Option<Box<dyn Write + Send>>,
    trouble: Trouble,
}

impl Ndjson {
    /// Events to the file `path`, made anew with the first event; `-` is stdout.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let trouble = Trouble::with(format!("the events to {}", path.display()));
        Self {
            path,
            out: None,
            trouble,
        }
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            None => self.out.insert(open(&self.path)?),
        };
        // one write a line: two writers of one pipe do not mix their lines
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

impl Sink for Ndjson {
    fn take(&mut self, event: &Event) {
        if self.trouble.none() {
            let written = self.write(event);
            self.trouble.check(written);
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(Box::new(File::create(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::EVENT_VERSION, sink::sample};

    #[test]
    fn every_event_is_a_line_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/events.ndjson");
        let mut sink = Ndjson::new(path.clone());
        for (index, event) in sample::events().iter().enumerate() {
            sink.take(event);
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), index + 1);
        }
        let text = fs::read_to_string(&path).unwrap();
        let read: Vec<Event> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, sample::events());
    }

    #[test]
    fn a_run_goes_on_without_its_file() {
        let mut sink = Ndjson::new(PathBuf::from("/dev/null/not-a-directory/events"));
        sample::events().iter().for_each(|event| sink.take(event));
        assert!(!sink.trouble.none());
    }

    const DOCUMENT: &str = include_str!("../../../../docs/events.md");

    /// All places that hold the fields of events: `(field of the event, its object)`.
    fn names_in(value: &serde_json::Value, names: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    names.insert(key.clone());
                    names_in(value, names);
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| names_in(item, names)),
            _ => {}
        }
    }

    /// The names of the variants of [`Happening`](crate::event::Happening), as its deserializer lists them.
    fn all_events() -> Vec<String> {
        let unknown = r#"{"time": "2026-01-01T00:00:00Z", "event": "?"}"#;
        let message = serde_json::from_str::<Event>(unknown).unwrap_err().to_string();
        let names: Vec<_> = message.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        assert!(names.len() > 5, "{message}");
        names
    }

    #[test]
    fn the_documentation_names_every_event_and_field() {
        for event in all_events() {
            assert!(
                DOCUMENT.contains(&format!("### `{event}`")),
                "docs/events.md lacks {event}"
            );
        }
        let mut fields = std::collections::BTreeSet::new();
        for event in sample::events() {
            names_in(&serde_json::to_value(&event).unwrap(), &mut fields);
        }
        for field in fields {
            assert!(
                DOCUMENT.contains(&format!("`{field}`")),
                "docs/events.md lacks the field {field}"
            );
        }
        assert!(DOCUMENT.contains(&format!("version {EVENT_VERSION}")));
    }

    #[test]
    fn the_sample_has_every_event() {
        let seen: Vec<_> = sample::events()
            .iter()
            .map(|event| serde_json::to_value(event).unwrap())
            .collect();
        for name in all_events() {
            assert!(
                seen.iter().any(|event| event["event"] == name.as_str()),
                "no {name} in the sample"
            );
        }
    }

    #[test]
    fn the_examples_of_the_documentation_are_events() {
        let mut examples = 0;
        for block in DOCUMENT.split("```json\n").skip(1) {
            let block = block.split("```").next().unwrap();
            for line in block.lines() {
                let event: Event = serde_json::from_str(line).expect(line);
                let expected: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(serde_json::to_value(&event).unwrap(), expected);
                examples += 1;
            }
        }
        assert!(examples > 10, "{examples}");
    }
}
