//! What a terminal shows when the run has ended: a table, the failures, a summary.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::{
    event::{Detail, Failure, Outcome, Verdict},
    sink::{paint::Paint, record::RunRecord, scenario_record::ScenarioRecord, terminal::Verbosity, wording},
};

/// More lines of one detail of a failure than this are shown only when asked for.
const MOST_DETAIL_LINES: usize = 30;

/// Stands before lines that come from elsewhere. GitHub obeys a line of a log that begins with `::`, and
/// a pod must not be able to write one.
const BAR: &str = "│ ";

/// The end of a run, in words.
pub(super) struct Closing<'a> {
    pub(super) run: &'a RunRecord,
    pub(super) paint: Paint,
    pub(super) verbosity: Verbosity,
}

impl Display for Closing<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.verbosity > Verbosity::Quiet {
            writeln!(out)?;
            self.write_table(out)?;
            writeln!(out)?;
        }
        self.write_failures(out)?;
        let Some(totals) = self.run.totals else {
            return Ok(());
        };
        let line = wording::totals(totals.passed, totals.failed, totals.skipped);
        let verdict = if totals.failed > 0 {
            Verdict::Failed
        } else {
            Verdict::Passed
        };
        let took = self.paint.dim(format!("in {}", wording::duration(totals.took)));
        write!(out, "{} {took}", self.paint.verdict(verdict, &line))
    }
}

impl Closing<'_> {
    fn write_table(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.run.names.iter().map(|name| self.row(name)).collect();
        let heads = ["SCENARIO", "VERDICT", "TIME", "STEPS"].map(str::to_owned);
        let width = |column: usize| {
            let cells = rows
                .iter()
                .map(|(_, cells)| &cells[column])
                .chain([&heads[column]]);
            cells
                .map(|cell| console::measure_text_width(cell))
                .max()
                .unwrap_or(0)
        };
        let [first, second, third] = [width(0), width(1), width(2)];
        let line = |[name, verdict, time, steps]: &[String; 4]| {
            format!("{name:<first$}  {verdict:<second$}  {time:>third$}  {steps}")
                .trim_end()
                .to_owned()
        };
        writeln!(out, "{}", self.paint.dim(line(&heads)))?;
        for (verdict, cells) in &rows {
            writeln!(out, "{}", self.paint.row(*verdict, &line(cells)))?;
        }
        Ok(())
    }

    fn row(&self, name: &str) -> (Verdict, [String; 4]) {
        let record = self.run.scenario(name);
        let (verdict, took) = record.and_then(|scenario| scenario.ended).unzip();
        let verdict = verdict.unwrap_or(Verdict::Skipped);
        let cells = [
            name.to_owned(),
            wording::verdict(verdict).to_owned(),
            took.filter(|took| !took.is_zero())
                .map(wording::duration)
                .unwrap_or_default(),
            record.map(steps_in_words).unwrap_or_default(),
        ];
        (verdict, cells)
    }

    fn write_failures(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (name, scenario) in self.run.scenarios() {
            for (step, failure) in scenario.earlier_failures() {
                let title = format!("{name}: {} (an earlier attempt)", step.name);
                self.write_failure(out, Verdict::Flaky, &title, failure)?;
            }
            for (step, failure) in scenario.failures() {
                self.write_failure(out, Verdict::Failed, &format!("{name}: {}", step.name), failure)?;
            }
        }
        Ok(())
    }

    /// A failure, the cause first.
    fn write_failure(
        &self,
        out: &mut Formatter<'_>,
        verdict: Verdict,
        title: &str,
        failure: &Failure,
    ) -> fmt::Result {
        writeln!(
            out,
            "{} {}",
            self.paint.verdict(verdict, "✗"),
            self.paint.bold(title)
        )?;
        writeln!(out, "  {}", self.paint.bold(indented(&failure.cause, "  ")))?;
        let (rerun, facts): (Vec<_>, Vec<_>) =
            wording::facts(failure).partition(|(title, _)| *title == "rerun");
        self.write_facts(out, &facts)?;
        for detail in &failure.details {
            self.write_detail(out, detail)?;
        }
        self.write_facts(out, &rerun)?;
        writeln!(out)
    }

    fn write_facts(&self, out: &mut Formatter<'_>, facts: &[(&str, &str)]) -> fmt::Result {
        for (title, fact) in facts {
            let title = self.paint.dim(format!("{title:<8}"));
            writeln!(out, "  {title}  {}", indented(fact, "            "))?;
        }
        Ok(())
    }

    /// The last lines matter most: a program says at its end why it ends.
    fn write_detail(&self, out: &mut Formatter<'_>, detail: &Detail) -> fmt::Result {
        writeln!(out, "  {}", self.paint.dim(wording::one_line(&detail.title)))?;
        let text = wording::printable(&detail.text);
        let lines: Vec<_> = text.trim_end().lines().collect();
        let hidden = match self.verbosity {
            Verbosity::Verbose => 0,
            _ => lines.len().saturating_sub(MOST_DETAIL_LINES),
        };
        let bar = self.paint.dim(BAR);
        if hidden > 0 {
            let line = format!(
                "… {} before these; --verbose shows all",
                wording::count(hidden, "line")
            );
            writeln!(out, "    {bar}{}", self.paint.dim(line))?;
        }
        for line in &lines[hidden..] {
            writeln!(out, "    {bar}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `6 passed, 1 skipped`, or what failed.
fn steps_in_words(scenario: &ScenarioRecord) -> String {
    let of = |matching: fn(&Outcome) -> bool| {
        scenario
            .steps
            .iter()
            .filter(|step| step.outcome().is_some_and(matching))
            .count()
    };
    let passed = of(|outcome| matches!(outcome, Outcome::Passed { .. }));
    let skipped = of(|outcome| matches!(outcome, Outcome::Skipped { .. }));
    let mut words = Vec::new();
    words.extend((passed > 0).then(|| format!("{passed} passed")));
    words.extend((skipped > 0).then(|| format!("{skipped} skipped")));
    words.extend(
        scenario
            .failures()
            .map(|(step, _)| format!("{} failed", step.name)),
    );
    words.join(", ")
}

/// `text` whose lines after the first are moved to the column of the first.
fn indented(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    for (index, line) in wording::printable(text.trim_end()).lines().enumerate() {
        // a string takes all that is written to it
        let _ = if index == 0 {
            write!(lines, "{line}")
        } else {
            write!(lines, "\n{indent}{BAR}{line}")
        };
    }
    lines
}
