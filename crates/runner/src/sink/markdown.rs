//! The run as Markdown, for the summary of a job.

use std::fmt::Write as _;

use crate::{
    event::{Failure, Verdict},
    sink::{
        record::RunRecord,
        scenario_record::{ScenarioRecord, StepRecord},
        wording,
    },
};

/// More lines of one detail of a failure than this are left out, the first ones.
const MOST_DETAIL_LINES: usize = 60;

/// The run as Markdown of at most `most` bytes; failures that have no room are named, not shown.
pub(super) fn summary(run: &RunRecord, most: usize) -> String {
    let mut text = String::new();
    // a string takes all that is written to it
    let _ = writeln!(text, "## {}\n", headline(run));
    let _ = writeln!(text, "{}\n", about(run));
    text.push_str(&table(run));
    let mut left_out = 0;
    for (name, scenario) in run.scenarios() {
        let earlier = scenario
            .earlier_failures()
            .map(|failed| (failed, " (an earlier attempt)"));
        for ((step, failure), remark) in scenario.failures().map(|failed| (failed, "")).chain(earlier) {
            let section = section(name, step, failure, remark);
            if text.len() + section.len() + 200 > most {
                left_out += 1;
            } else {
                text.push_str(&section);
            }
        }
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "\n{} had no room here.",
            wording::count(left_out, "failure")
        );
    }
    text
}

fn headline(run: &RunRecord) -> String {
    match run.totals {
        Some(totals) => {
            let mark = if totals.failed > 0 { "❌" } else { "✅" };
            format!(
                "{mark} {}",
                wording::totals(totals.passed, totals.failed, totals.skipped)
            )
        }
        None => "⚠️ broken off".to_owned(),
    }
}

fn about(run: &RunRecord) -> String {
    let mut words = vec![format!("prefect-e2e {}", env!("CARGO_PKG_VERSION"))];
    if let Some(target) = &run.target {
        words.push(format!("target {}", target.target));
        words.push(format!("Kubernetes {}", target.kubernetes));
    }
    words.extend(run.totals.map(|totals| wording::duration(totals.took)));
    inline(&words.join(" · "))
}

fn table(run: &RunRecord) -> String {
    let mut text = String::from("| | Scenario | Time | Steps | |\n|---|---|--:|--:|---|\n");
    for name in &run.names {
        let unknown = ScenarioRecord::default();
        let scenario = run.scenario(name).unwrap_or(&unknown);
        let verdict = scenario.ended.map_or(Verdict::Skipped, |(verdict, _)| verdict);
        let mark = match verdict {
            Verdict::Passed => "✅",
            Verdict::Flaky => "⚠️ flaky",
            Verdict::Failed => "❌",
            Verdict::Skipped => "➖",
        };
        let took = scenario
            .ended
            .map(|(_, took)| took)
            .filter(|took| !took.is_zero());
        let cells = [
            mark.to_owned(),
            inline(name),
            took.map(wording::duration).unwrap_or_default(),
            scenario.steps.len().to_string(),
            scenario
                .failures()
                .map(|(_, failure)| inline(&failure.cause))
                .collect::<Vec<_>>()
                .join("; "),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

fn section(name: &str, step: &StepRecord, failure: &Failure, remark: &str) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "\n### {}: {}{remark}\n", inline(name), inline(&step.name));
    let _ = writeln!(text, "**{}**\n", inline(&failure.cause));
    for (title, fact) in wording::facts(failure) {
        if title == "rerun" {
            let _ = write!(text, "\n{}", block(fact, "sh"));
        } else {
            let _ = writeln!(text, "- {title}: {}", inline(fact));
        }
    }
    for detail in &failure.details {
        let printable = wording::printable(&detail.text);
        let lines: Vec<_> = printable.trim_end().lines().collect();
        let shown = lines[lines.len().saturating_sub(MOST_DETAIL_LINES)..].join("\n");
        let _ = writeln!(text, "\n<details><summary>{}</summary>\n", html(&detail.title));
        let _ = writeln!(text, "{}\n</details>", block(&shown, "text"));
    }
    text
}

/// `text` as words of a line or a cell: nothing in it is markup.
fn inline(text: &str) -> String {
    let mut words = String::new();
    for c in html(text).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => words.extend(['\\', c]),
            _ => words.push(c),
        }
    }
    words
}

/// `text` as words of a line in an element of HTML, where Markdown's escapes are not known.
fn html(text: &str) -> String {
    wording::one_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `text` in a fence longer than any that it holds.
fn block(text: &str, language: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{record::Keep, sample};

    fn record() -> RunRecord {
        let mut record = RunRecord::keeping(Keep::Versions);
        sample::events().iter().for_each(|event| record.add(event));
        record
    }

    #[test]
    fn markup_in_words_is_shown_not_obeyed() {
        assert_eq!(
            inline("a | b\n<b>_x_</b> `y`"),
            "a \\| b &lt;b&gt;\\_x\\_&lt;/b&gt; \\`y\\`"
        );
        assert_eq!(block("```\nx", "text"), "````text\n```\nx\n````\n");
    }

    #[test]
    fn a_summary_stays_below_its_limit() {
        let text = summary(&record(), 1_500);
        assert!(text.len() <= 1_500, "{}", text.len());
        assert!(text.contains("had no room here"), "{text}");
    }
}
