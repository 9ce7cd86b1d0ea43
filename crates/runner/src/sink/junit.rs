//! The run as JUnit XML: a suite a scenario, a case a step.
//!
//! There is no standard of JUnit's format, only schemas of its readers. What is written here fits both
//! that of Jenkins (junit-10.xsd of its xUnit plugin) and the stricter one of Ant (JUnit.xsd of Windy
//! Road), with one exception: an attempt before the one that passed is a `flakyFailure`, as Maven's
//! surefire has it, which the latter does not know.

use std::{io, path::PathBuf, time::Duration};

use jiff::Timestamp;
use quick_junit::{
    NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite, XmlString,
};

use crate::{
    event::{Event, Failure, Happening, Outcome, Sink},
    sink::{
        record::{Keep, RunRecord},
        scenario_record::{ScenarioRecord, StepRecord},
        trouble::Trouble,
        whole_file, wording,
    },
};

/// Writes the run as JUnit XML when it has ended, or when it is broken off.
pub struct Junit {
    path: PathBuf,
    record: RunRecord,
    trouble: Trouble,
    is_written: bool,
}

impl Junit {
    /// The report goes to the file `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let trouble = Trouble::with(format!("the JUnit report {}", path.display()));
        Self {
            path,
            record: RunRecord::keeping(Keep::Versions),
            trouble,
            is_written: false,
        }
    }

    fn write(&mut self) {
        self.is_written = true;
        let written = whole_file::write(&self.path, |out| {
            out.write_all(document(&self.record)?.as_bytes())
        });
        self.trouble.check(written);
    }
}

impl Sink for Junit {
    fn take(&mut self, event: &Event) {
        self.record.add(event);
        if matches!(event.what, Happening::RunEnded { .. }) {
            self.write();
        }
    }
}

impl Drop for Junit {
    fn drop(&mut self) {
        if self.record.started.is_some() && !self.is_written {
            self.write();
        }
    }
}

fn document(run: &RunRecord) -> io::Result<String> {
    let mut report = Report::unnamed();
    for (index, name) in run.names.iter().enumerate() {
        let unknown = ScenarioRecord::default();
        report.add_test_suite(suite(index, name, run.scenario(name).unwrap_or(&unknown), run));
    }
    let text = report.to_string().map_err(io::Error::other)?;
    // the schemas disagree on the attributes of the root; with none, both agree
    Ok(
        match text
            .split_once("<testsuites")
            .and_then(|(head, rest)| Some((head, rest.split_once('>')?.1)))
        {
            Some((head, rest)) => format!("{head}<testsuites>{rest}"),
            None => text,
        },
    )
}

fn suite(index: usize, name: &str, scenario: &ScenarioRecord, run: &RunRecord) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.add_properties(properties(scenario, run));
    let started = scenario.started.or(run.started).unwrap_or(Timestamp::UNIX_EPOCH);
    let attributes = [
        ("id", index.to_string()),
        ("package", "prefect-e2e".to_owned()),
        // the schema's word for a host that does not matter
        ("hostname", "localhost".to_owned()),
        // a time zone is not allowed here
        ("timestamp", started.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
    ];
    suite
        .extra
        .extend(attributes.map(|(key, value)| (key.into(), value.into())));
    suite.set_time(scenario.ended.map(|(_, took)| took).unwrap_or_default());
    suite.add_test_cases(cases(name, scenario));
    suite.set_system_out(scenario.notes.join("\n"));
    suite.set_system_err("");
    suite
}

fn properties(scenario: &ScenarioRecord, run: &RunRecord) -> Vec<Property> {
    let mut properties = vec![("prefect-e2e.version", env!("CARGO_PKG_VERSION").to_owned())];
    properties.push(("run", run.run.clone()));
    if let Some(target) = &run.target {
        properties.push(("target", target.target.clone()));
        properties.push(("target.about", target.about.clone()));
        properties.push(("kubernetes.version", target.kubernetes.clone()));
    }
    properties.extend(
        scenario
            .versions
            .chart
            .iter()
            .map(|chart| ("chart", chart.clone())),
    );
    properties.extend(
        scenario
            .versions
            .images
            .iter()
            .map(|image| ("image", image.clone())),
    );
    if !scenario.description.is_empty() {
        properties.push(("description", scenario.description.clone()));
    }
    if let Some((verdict, _)) = scenario.ended {
        properties.push(("verdict", wording::verdict(verdict).to_owned()));
    }
    properties
        .into_iter()
        .map(|(name, value)| Property::new(name, xml(&value)))
        .collect()
}

fn cases(name: &str, scenario: &ScenarioRecord) -> Vec<TestCase> {
    let mut cases: Vec<_> = scenario
        .steps
        .iter()
        .map(|step| case(name, step, scenario))
        .collect();
    let took = scenario.ended.map(|(_, took)| took).unwrap_or_default();
    if scenario.failed_outside_its_steps() {
        let status = error("failed outside its steps", &scenario.notes.join("\n"));
        cases.push(bare_case(name, "scenario", status, took));
    } else if cases.is_empty() {
        cases.push(bare_case(name, "scenario", skipped("not run"), took));
    }
    cases
}

fn case(scenario_name: &str, step: &StepRecord, scenario: &ScenarioRecord) -> TestCase {
    let (mut status, took) = match &step.ended {
        Some((Outcome::Passed { .. }, took)) => (TestCaseStatus::success(), *took),
        Some((Outcome::Skipped { reason }, took)) => (skipped(reason), *took),
        Some((Outcome::Failed(failure), took)) => (failed(failure), *took),
        None => (
            error("broken off", "the run ended before this step did"),
            Duration::ZERO,
        ),
    };
    let earlier = scenario
        .earlier_failures()
        .filter(|(earlier, _)| earlier.name == step.name);
    status.add_reruns(earlier.map(|(_, failure)| rerun(failure)));
    bare_case(scenario_name, &step.name, status, took)
}

fn bare_case(scenario: &str, step: &str, status: TestCaseStatus, took: Duration) -> TestCase {
    let mut case = TestCase::new(xml(step), status);
    case.set_classname(format!("prefect-e2e.{scenario}"))
        .set_time(took);
    case
}

fn failed(failure: &Failure) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_message(xml(&failure.cause))
        .set_type("failure")
        .set_description(xml(&wording::failure(failure)));
    status
}

fn error(message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status
        .set_message(message)
        .set_type("error")
        .set_description(xml(description));
    status
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(xml(reason));
    status
}

fn rerun(failure: &Failure) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    rerun
        .set_message(xml(&failure.cause))
        .set_type("failure")
        .set_stack_trace(xml(&wording::failure(failure)));
    rerun
}

fn xml(text: &str) -> XmlString {
    XmlString::new(wording::printable(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{event::Verdict, sink::sample};

    /// The report of a run that ends with `events`.
    fn written(events: &[Event]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("junit.xml");
        let mut sink = Junit::new(path.clone());
        events.iter().for_each(|event| sink.take(event));
        drop(sink);
        fs::read_to_string(&path).unwrap()
    }

    fn is_case_of(status: &TestCaseStatus, word: &str) -> bool {
        match status {
            TestCaseStatus::Success { flaky_runs } => {
                word == if flaky_runs.is_empty() { "passed" } else { "flaky" }
            }
            TestCaseStatus::NonSuccess {
                kind: NonSuccessKind::Failure,
                ..
            } => word == "failed",
            TestCaseStatus::NonSuccess {
                kind: NonSuccessKind::Error,
                ..
            } => word == "error",
            TestCaseStatus::Skipped { .. } => word == "skipped",
        }
    }

    /// The cases that ended so; the reader wants what the schemas forbid, and the reverse.
    fn number_of(text: &str, word: &str) -> usize {
        let text = text.replace(
            "<testsuites>",
            r#"<testsuites tests="0" failures="0" errors="0">"#,
        );
        let text = regex::Regex::new(r#" timestamp="[^"]*""#)
            .unwrap()
            .replace_all(&text, "");
        let report = Report::deserialize_from_str(&text).unwrap();
        let cases = report.test_suites.iter().flat_map(|suite| &suite.test_cases);
        cases.filter(|case| is_case_of(&case.status, word)).count()
    }

    #[test]
    fn a_run_is_written_as_junit() {
        let text = written(&sample::events()).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_step_is_a_case() {
        let text = written(&sample::events());
        assert_eq!(number_of(&text, "failed"), 2);
        assert_eq!(number_of(&text, "flaky"), 1);
        assert_eq!(number_of(&text, "error"), 0);
        // one step was skipped, and one scenario whole
        assert_eq!(number_of(&text, "skipped"), 2);
    }

    #[test]
    fn what_is_there_is_written_when_the_run_is_broken_off() {
        let text = written(&sample::events()[..31]);
        assert_eq!(number_of(&text, "error"), 3, "{text}");
    }

    #[test]
    fn a_failure_outside_the_steps_is_an_error() {
        let ended = Happening::ScenarioEnded {
            verdict: Verdict::Failed,
            took: Duration::from_secs(1),
        };
        let text = written(&[
            sample::run_started(&["one"]),
            sample::event(Some("one"), ended),
            sample::run_ended(),
        ]);
        assert_eq!(number_of(&text, "error"), 1, "{text}");
    }

    #[test]
    fn what_xml_forbids_is_left_out() {
        let seen = "\u{1b}[31m<b>&]]>\u{0}\u{fffe}";
        let failure = Failure {
            cause: seen.into(),
            ..Failure::default()
        };
        let (step, outcome) = ("s".to_owned(), Outcome::Failed(Box::new(failure)));
        let ended = Happening::StepEnded {
            step,
            outcome,
            took: Duration::ZERO,
        };
        let text = written(&[
            sample::run_started(&["one"]),
            sample::event(Some("one"), ended),
            sample::run_ended(),
        ]);
        assert_eq!(number_of(&text, "failed"), 1, "{text}");
        assert!(
            text.contains("&lt;b&gt;&amp;]]&gt;") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}
