//! What the templates of the HTML report show, in the words and numbers that they show it in.

use std::time::Duration;

use askama::Template;

use crate::{
    Secrets,
    event::{Failure, Outcome, Verdict},
    sink::{
        html::Articles,
        html_evidence::{self, FileView, ObjectView, Picture},
        record::RunRecord,
        scenario_record::{ScenarioRecord, StepRecord},
        timeline::{Extent, Span, Timeline},
        wording,
    },
};

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct Page<'a> {
    headline: String,
    class: &'static str,
    facts: Vec<(&'static str, String)>,
    counts: Vec<Count>,
    causes: Vec<Cause<'a>>,
    rows: Vec<Row<'a>>,
    notes: &'a [String],
    articles: &'a Articles,
    style: &'static str,
    script: &'static str,
}

/// How many scenarios ended in one way.
struct Count {
    class: &'static str,
    number: usize,
}

/// Why a step failed, in a line.
struct Cause<'a> {
    scenario: &'a str,
    step: &'a str,
    cause: String,
}

/// A scenario in the matrix.
struct Row<'a> {
    name: &'a str,
    description: &'a str,
    class: &'static str,
    took: String,
    extent: Option<Extent>,
    steps: Vec<Square<'a>>,
}

/// A step in the matrix.
struct Square<'a> {
    name: &'a str,
    class: &'static str,
    took: String,
}

/// All about a scenario.
#[derive(Template)]
#[template(path = "scenario.html")]
pub(super) struct Article<'a> {
    name: &'a str,
    description: &'a str,
    class: &'static str,
    took: String,
    facts: Vec<(&'static str, String)>,
    failures: Vec<FailureView<'a>>,
    timeline: Option<Timeline<'a>>,
    steps: Vec<StepView<'a>>,
    notes: &'a [String],
    pictures: Vec<Picture<'a>>,
    files: Vec<FileView<'a>>,
    objects: Vec<ObjectView>,
}

struct FailureView<'a> {
    step: &'a str,
    is_earlier: bool,
    cause: String,
    facts: Vec<(&'static str, String)>,
    details: Vec<(&'a str, String)>,
    rerun: &'a str,
}

struct StepView<'a> {
    name: &'a str,
    class: &'static str,
    took: String,
    remark: String,
    progress: Vec<(String, String)>,
}

// === impl Page ===

impl<'a> Page<'a> {
    pub(super) fn of(run: &'a RunRecord, articles: &'a Articles) -> Self {
        let rows: Vec<_> = run.names.iter().map(|name| Row::of(name, run)).collect();
        let number = |class| rows.iter().filter(|row| row.class == class).count();
        let counts = ["passed", "flaky", "failed", "skipped"].map(|class| Count {
            class,
            number: number(class),
        });
        let failed = number("failed");
        let (headline, class) = match run.totals {
            None => ("The run was broken off".to_owned(), "flaky"),
            Some(_) if failed > 0 => (
                format!("{failed} of {} failed", wording::count(rows.len(), "scenario")),
                "failed",
            ),
            Some(totals) => (
                format!("{} passed", wording::count(totals.passed, "scenario")),
                "passed",
            ),
        };
        Self {
            headline,
            class,
            facts: facts_of_run(run),
            counts: counts.into_iter().filter(|count| count.number > 0).collect(),
            causes: causes(run),
            rows,
            notes: &run.notes,
            articles,
            style: include_str!("../../templates/report.css"),
            script: include_str!("../../templates/report.js"),
        }
    }
}

fn facts_of_run(run: &RunRecord) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(target) = &run.target {
        facts.push(("Target", target.target.clone()));
        facts.push(("Kubernetes", target.kubernetes.clone()));
    }
    let mut charts: Vec<_> = run
        .scenarios()
        .filter_map(|(_, scenario)| scenario.versions.chart.clone())
        .collect();
    charts.sort();
    charts.dedup();
    facts.extend((!charts.is_empty()).then(|| ("Chart", charts.join(", "))));
    facts.extend(
        run.started
            .map(|time| ("Started", time.strftime("%Y-%m-%d %H:%M UTC").to_string())),
    );
    facts.extend(run.totals.map(|totals| ("Took", wording::duration(totals.took))));
    facts.push(("Parallel", run.jobs.to_string()));
    facts.push(("Run", run.run.clone()));
    facts.extend(run.target.as_ref().map(|target| {
        (
            "Cluster",
            format!("{}; ready after {}", target.about, wording::duration(target.took)),
        )
    }));
    facts
}

fn causes(run: &RunRecord) -> Vec<Cause<'_>> {
    let mut causes = Vec::new();
    for (scenario, record) in run.scenarios() {
        for (step, failure) in record.failures() {
            causes.push(Cause {
                scenario,
                step: &step.name,
                cause: wording::one_line(&failure.cause),
            });
        }
        if record.failed_outside_its_steps() {
            let cause = record
                .notes
                .last()
                .map_or_else(|| "no step says why".to_owned(), |note| wording::one_line(note));
            causes.push(Cause {
                scenario,
                step: "outside its steps",
                cause,
            });
        }
    }
    causes
}

// === impl Row ===

impl<'a> Row<'a> {
    fn of(name: &'a str, run: &'a RunRecord) -> Self {
        let Some(scenario) = run.scenario(name) else {
            let (description, took) = ("", String::new());
            return Self {
                name,
                description,
                class: "skipped",
                took,
                extent: None,
                steps: Vec::new(),
            };
        };
        let span = run
            .started
            .zip(run.totals)
            .map(|(started, totals)| Span::new(started, totals.took));
        let times = scenario.first_started.zip(scenario.ended);
        let extent = span
            .zip(times)
            .map(|(span, (started, (_, took)))| span.extent(started, took));
        let square = |step: &'a StepRecord| Square {
            name: &step.name,
            class: class_of(step),
            took: took_of(step),
        };
        Self {
            name,
            description: &scenario.description,
            class: class_of_scenario(scenario),
            took: took(scenario.ended.map(|(_, took)| took)),
            extent,
            steps: scenario.steps.iter().map(square).collect(),
        }
    }
}

// === impl Article ===

impl<'a> Article<'a> {
    pub(super) fn of(name: &'a str, scenario: &'a ScenarioRecord, secrets: &Secrets) -> Self {
        let (pictures, files) = html_evidence::artifacts(&scenario.artifacts, secrets);
        let failures = scenario
            .failures()
            .map(|(step, failure)| FailureView::of(step, failure, false));
        let earlier = scenario
            .earlier_failures()
            .map(|(step, failure)| FailureView::of(step, failure, true));
        Self {
            name,
            description: &scenario.description,
            class: class_of_scenario(scenario),
            took: took(scenario.ended.map(|(_, took)| took)),
            facts: facts_of_scenario(scenario),
            failures: failures.chain(earlier).collect(),
            timeline: Timeline::of(scenario),
            steps: scenario.steps.iter().map(StepView::of).collect(),
            notes: &scenario.notes,
            pictures,
            files,
            objects: html_evidence::objects(&scenario.objects),
        }
    }

    /// What failed is what a reader came for.
    fn is_open(&self) -> bool {
        self.class == "failed"
    }
}

fn facts_of_scenario(scenario: &ScenarioRecord) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    facts.extend((!scenario.namespace.is_empty()).then(|| ("Namespace", scenario.namespace.clone())));
    facts.extend(scenario.versions.chart.clone().map(|chart| ("Chart", chart)));
    facts.extend(
        scenario
            .versions
            .images
            .iter()
            .map(|image| ("Image", image.clone())),
    );
    facts
}

impl<'a> FailureView<'a> {
    fn of(step: &'a StepRecord, failure: &'a Failure, is_earlier: bool) -> Self {
        let facts = wording::facts(failure).filter(|(title, _)| *title != "rerun");
        Self {
            step: &step.name,
            is_earlier,
            cause: wording::printable(&failure.cause).into_owned(),
            facts: facts
                .map(|(title, fact)| (title, wording::printable(fact).into_owned()))
                .collect(),
            details: failure
                .details
                .iter()
                .map(|detail| {
                    (
                        detail.title.as_str(),
                        wording::printable(detail.text.trim_end()).into_owned(),
                    )
                })
                .collect(),
            rerun: &failure.rerun,
        }
    }
}

impl<'a> StepView<'a> {
    fn of(step: &'a StepRecord) -> Self {
        let span = Span::new(step.started, Duration::ZERO);
        let seen = |(time, message): &(_, String)| {
            (wording::duration(span.offset(*time)), wording::one_line(message))
        };
        Self {
            name: &step.name,
            class: class_of(step),
            took: took_of(step),
            remark: step
                .outcome()
                .map(|outcome| wording::one_line(wording::remark(outcome)))
                .unwrap_or_default(),
            progress: step.progress.iter().map(seen).collect(),
        }
    }
}

/// The sign of a class: colours alone do not tell.
fn glyph(class: &str) -> &'static str {
    match class {
        "passed" => "✓",
        "failed" => "✗",
        "flaky" => "↻",
        "skipped" => "–",
        _ => "…",
    }
}

fn class_of_scenario(scenario: &ScenarioRecord) -> &'static str {
    match scenario.ended {
        Some((verdict, _)) => wording::verdict(verdict),
        None if scenario.started.is_some() => "unfinished",
        None => wording::verdict(Verdict::Skipped),
    }
}

fn class_of(step: &StepRecord) -> &'static str {
    match step.outcome() {
        Some(Outcome::Passed { .. }) => "passed",
        Some(Outcome::Skipped { .. }) => "skipped",
        Some(Outcome::Failed(_)) => "failed",
        None => "unfinished",
    }
}

fn took_of(step: &StepRecord) -> String {
    took(step.ended.as_ref().map(|(_, took)| *took))
}

fn took(took: Option<Duration>) -> String {
    took.filter(|took| !took.is_zero())
        .map(wording::duration)
        .unwrap_or_default()
}
