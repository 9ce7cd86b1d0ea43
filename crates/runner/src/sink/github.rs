//! The run in GitHub Actions: annotations at the scenarios' files, and the summary of the job.
//!
//! Workflow commands: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    event::{Event, Failure, Happening, Sink},
    sink::{
        markdown,
        record::{Keep, RunRecord},
        trouble::Trouble,
        wording,
    },
};

/// GitHub refuses a step's summary above 1 MiB whole; what other commands of the step append counts too.
const LARGEST_SUMMARY: usize = 900 * 1024;

/// Annotates the scenarios' files and appends to the summary of the job when the run has ended.
pub struct Github {
    scenarios: PathBuf,
    summary: Option<PathBuf>,
    out: Box<dyn Write + Send>,
    record: RunRecord,
    is_written: bool,
    annotations: Trouble,
    summaries: Trouble,
}

impl Github {
    /// For this process, when it runs in GitHub Actions; `scenarios` is the directory of the scenarios'
    /// files as seen from the root of the repository.
    #[must_use]
    pub fn of_process(scenarios: &Path) -> Option<Self> {
        std::env::var_os("GITHUB_ACTIONS").filter(|value| value == "true")?;
        let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
        Some(Self::new(
            scenarios,
            summary.map(PathBuf::from),
            Box::new(io::stdout()),
        ))
    }

    /// Annotations are written to `out`, the summary is appended to the file `summary`.
    #[must_use]
    pub fn new(scenarios: &Path, summary: Option<PathBuf>, out: Box<dyn Write + Send>) -> Self {
        Self {
            scenarios: scenarios.to_owned(),
            summary,
            out,
            record: RunRecord::keeping(Keep::Versions),
            is_written: false,
            annotations: Trouble::with("GitHub's annotations"),
            summaries: Trouble::with("GitHub's step summary"),
        }
    }

    fn write(&mut self) {
        self.is_written = true;
        let annotated = self.annotate();
        self.annotations.check(annotated);
        let summarised = self.summarise();
        self.summaries.check(summarised);
    }

    fn annotate(&mut self) -> io::Result<()> {
        for (name, scenario) in self.record.scenarios() {
            let file = self.scenarios.join(format!("{name}.yaml"));
            let file = file.strip_prefix(".").unwrap_or(&file).display().to_string();
            for (step, failure) in scenario.failures() {
                let title = format!("{name}: {}", step.name);
                writeln!(self.out, "{}", command("error", &file, &title, &message(failure)))?;
            }
            if scenario.failed_outside_its_steps() {
                let title = format!("{name}: outside its steps");
                writeln!(
                    self.out,
                    "{}",
                    command("error", &file, &title, &scenario.notes.join("\n"))
                )?;
            }
            for (step, failure) in scenario.earlier_failures() {
                let title = format!("{name}: {} (an earlier attempt)", step.name);
                writeln!(
                    self.out,
                    "{}",
                    command("warning", &file, &title, &message(failure))
                )?;
            }
        }
        self.out.flush()
    }

    fn summarise(&self) -> io::Result<()> {
        let Some(path) = &self.summary else { return Ok(()) };
        let text = markdown::summary(&self.record, LARGEST_SUMMARY);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?
            .write_all(text.as_bytes())
    }
}

impl Sink for Github {
    fn take(&mut self, event: &Event) {
        self.record.add(event);
        if matches!(event.what, Happening::RunEnded { .. }) {
            self.write();
        }
    }
}

impl Drop for Github {
    fn drop(&mut self) {
        if self.record.started.is_some() && !self.is_written {
            self.write();
        }
    }
}

/// The cause and the facts; the details are in the summary.
fn message(failure: &Failure) -> String {
    let facts = wording::facts(failure).map(|(title, fact)| format!("\n{title}: {fact}"));
    std::iter::once(failure.cause.clone()).chain(facts).collect()
}

/// A workflow command.
fn command(level: &str, file: &str, title: &str, message: &str) -> String {
    let message = wording::printable(message);
    format!(
        "::{level} file={},title={}::{}",
        property(file),
        property(title),
        data(&message)
    )
}

/// A message as the runner of GitHub Actions unescapes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property as the runner of GitHub Actions unescapes it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sink::sample::{self, Paper};

    fn written(events: &[Event]) -> (String, String) {
        let directory = tempfile::tempdir().unwrap();
        let summary = directory.path().join("summary.md");
        fs::write(&summary, "before\n").unwrap();
        let paper = Paper::default();
        let mut sink = Github::new(
            Path::new("./scenarios"),
            Some(summary.clone()),
            Box::new(paper.clone()),
        );
        events.iter().for_each(|event| sink.take(event));
        drop(sink);
        (paper.text(), fs::read_to_string(&summary).unwrap())
    }

    #[test]
    fn failures_are_annotated() {
        insta::assert_snapshot!(written(&sample::events()).0);
    }

    #[test]
    fn the_job_has_a_summary() {
        let (_, summary) = written(&sample::events());
        assert!(summary.starts_with("before\n"), "{summary}");
        insta::assert_snapshot!(summary.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[test]
    fn a_command_is_escaped() {
        let line = command("error", "a,b.yaml", "a: 100%, b", "first\r\nsecond: 50%, ok");
        assert_eq!(
            line,
            "::error file=a%2Cb.yaml,title=a%3A 100%25%2C b::first%0Asecond: 50%25, ok"
        );
    }

    #[test]
    fn a_broken_off_run_is_summarised() {
        let (_, summary) = written(&sample::events()[..40]);
        assert!(summary.contains("broken off"), "{summary}");
    }
}
