//! The run as one page of HTML that needs nothing beside it: no network, no other file.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

use askama::Template as _;

use crate::{
    Secrets,
    event::{Event, Happening, Sink},
    sink::{
        html_view::{Article, Page},
        record::{Keep, RunRecord},
        trouble::Trouble,
        whole_file,
    },
};

/// Writes the page when the run has ended, or when it is broken off.
///
/// What a scenario shows is put to a file when the scenario ends, so that the memory which a run needs
/// does not grow with its objects, logs and screenshots.
pub struct Html {
    directory: PathBuf,
    secrets: Secrets,
    record: RunRecord,
    articles: Articles,
    trouble: Trouble,
    is_written: bool,
}

/// The parts of the page that are about one scenario each.
#[derive(Default)]
pub(super) struct Articles {
    // made with the first article; has no name, so it goes with the process
    file: RefCell<Option<File>>,
    places: BTreeMap<String, (u64, usize)>,
    order: Vec<String>,
}

impl Html {
    /// The page is `index.html` in `directory`. The artifacts shown in it are read from their files;
    /// `secrets` are hidden in those that are text.
    #[must_use]
    pub fn new(directory: PathBuf, secrets: Secrets) -> Self {
        let trouble = Trouble::with(format!("the HTML report to {}", directory.display()));
        Self {
            directory,
            secrets,
            record: RunRecord::keeping(Keep::Everything),
            articles: Articles::default(),
            trouble,
            is_written: false,
        }
    }

    /// Puts what is known of a scenario away.
    fn put_away(&mut self, name: &str) {
        let Some(scenario) = self.record.scenario(name) else {
            return;
        };
        let article = Article::of(name, scenario, &self.secrets);
        let text = article.render().map_err(io::Error::other);
        let put = text.and_then(|text| self.articles.put(name, &text));
        self.trouble.check(put);
        self.record.strip(name);
    }

    fn write(&mut self) {
        self.is_written = true;
        let unfinished = self
            .record
            .scenarios()
            .filter(|(_, scenario)| scenario.ended.is_none());
        let unfinished: Vec<_> = unfinished.map(|(name, _)| name.to_owned()).collect();
        unfinished.iter().for_each(|name| self.put_away(name));
        self.articles.order.clone_from(&self.record.names);
        let page = Page::of(&self.record, &self.articles);
        let path = self.directory.join("index.html");
        let written = whole_file::write(&path, |out| page.write_into(out));
        self.trouble.check(written);
    }
}

impl Sink for Html {
    fn take(&mut self, event: &Event) {
        self.record.add(event);
        match (&event.scenario, &event.what) {
            (Some(scenario), Happening::ScenarioEnded { .. }) => self.put_away(scenario),
            (_, Happening::RunEnded { .. }) => self.write(),
            _ => {}
        }
    }
}

impl Drop for Html {
    fn drop(&mut self) {
        if self.record.started.is_some() && !self.is_written {
            self.write();
        }
    }
}

// === impl Articles ===

impl Articles {
    fn put(&mut self, name: &str, text: &str) -> io::Result<()> {
        let slot = self.file.get_mut();
        let file = match slot {
            Some(file) => file,
            None => slot.insert(tempfile::tempfile()?),
        };
        let place = file.seek(SeekFrom::End(0))?;
        file.write_all(text.as_bytes())?;
        self.places.insert(name.to_owned(), (place, text.len()));
        Ok(())
    }

    fn get(&self, name: &str) -> io::Result<String> {
        let mut slot = self.file.borrow_mut();
        let (Some(file), Some((place, length))) = (slot.as_mut(), self.places.get(name)) else {
            return Ok(String::new());
        };
        file.seek(SeekFrom::Start(*place))?;
        let mut text = vec![0; *length];
        file.read_exact(&mut text)?;
        String::from_utf8(text).map_err(io::Error::other)
    }
}

impl Display for Articles {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for name in &self.order {
            out.write_str(&self.get(name).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sink::sample;

    fn written(events: &[Event], secrets: &Secrets) -> String {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = Html::new(directory.path().join("report"), secrets.clone());
        events.iter().for_each(|event| sink.take(event));
        drop(sink);
        fs::read_to_string(directory.path().join("report/index.html")).unwrap()
    }

    fn artifact(path: &std::path::Path) -> Event {
        let path = path.display().to_string();
        sample::event(
            Some("one"),
            Happening::Artifact {
                about: "it".into(),
                path,
            },
        )
    }

    #[test]
    fn the_page_shows_the_whole_run() {
        let page = written(&sample::events(), &Secrets::default());
        for shown in [
            "2 of 7 scenarios failed",
            "stays Pending: Insufficient cpu",
            "in an earlier attempt",
            "the server&#39;s sessions are not encrypted",
            "flow run read back after 12.7 s",
            "GET /api/health: connection refused",
            "<summary>Deployment prefect-server</summary>",
            "prefecthq/prefect:3.6.9-python3.11-kubernetes",
            "v1.34.1",
            "artifacts/sqlite/ui.png",
        ] {
            assert!(page.contains(shown), "{shown}");
        }
        assert_eq!(page.matches("<details class=\"scenario").count(), 7);
        assert_eq!(page.matches("<svg class=\"timeline\"").count(), 6);
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = written(&sample::events(), &Secrets::default());
        let loads = regex::Regex::new(r#"(?i)(src|href)="(?:https?:)?//|@import|url\(|<link"#).unwrap();
        assert!(!loads.is_match(&page), "{:?}", loads.find(&page));
    }

    #[test]
    fn a_broken_off_run_shows_what_was_going_on() {
        let page = written(&sample::events()[..31], &Secrets::default());
        assert!(page.contains("The run was broken off"));
        assert_eq!(page.matches("<details class=\"scenario unfinished\"").count(), 3);
    }

    #[test]
    fn artifacts_are_in_the_page_and_hold_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let (picture, log) = (directory.path().join("a.png"), directory.path().join("a.log"));
        fs::write(&picture, "not really").unwrap();
        fs::write(&log, "<b>PASSWORD=prefect-rocks</b>\u{1b}[0m\n".repeat(10_000)).unwrap();
        let secrets = Secrets::default();
        secrets.learn("prefect-rocks");
        let events = [
            sample::run_started(&["one"]),
            artifact(&picture),
            artifact(&log),
            sample::run_ended(),
        ];
        let page = written(&events, &secrets);
        assert!(page.contains("data:image/png;base64,bm90IHJlYWxseQ=="), "{page}");
        assert!(page.contains("&#60;b&#62;PASSWORD=[secret]&#60;/b&#62;") && !page.contains("prefect-rocks"));
        assert!(page.contains("bytes before these"));
    }

    #[test]
    fn a_second_attempt_replaces_the_first() {
        let events = sample::events();
        let page = written(&events, &Secrets::default());
        assert!(page.contains("e2e-7f3a9c-bundled-postgres-2"));
        assert_eq!(page.matches("id=\"bundled-postgres\"").count(), 1);
    }

    #[test]
    fn what_is_large_does_not_stay_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = Html::new(directory.path().to_owned(), Secrets::default());
        let events = sample::events();
        events[..events.len() - 1]
            .iter()
            .for_each(|event| sink.take(event));
        for (name, scenario) in sink.record.scenarios() {
            assert!(
                scenario.objects.is_empty() && scenario.artifacts.is_empty(),
                "{name}"
            );
            assert!(
                scenario.steps.iter().all(|step| step.progress.is_empty()),
                "{name}"
            );
        }
    }
}
