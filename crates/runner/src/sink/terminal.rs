//! The run as a person sees it on a terminal: what each scenario does now while it runs, then a table,
//! the failures and a summary.

use std::{
    io::{self, IsTerminal as _, Write},
    time::{Duration, Instant},
};

use crate::{
    event::{Event, Happening, Outcome, Sink},
    sink::{
        closing::Closing,
        live::LiveView,
        paint::Paint,
        record::{Keep, RunRecord},
        trouble::Trouble,
        wording,
    },
};

/// What is longer than this in columns has its place at the end, not in the line of a step.
const LONGEST_REMARK: usize = 160;

/// How the terminal is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Running scenarios are redrawn in place on stderr.
    Live,
    /// Lines are only ever added.
    Plain,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// The failures and the summary.
    Quiet,
    /// The ends of steps and scenarios, too.
    #[default]
    Normal,
    /// Everything: images, what each step sees on its way, whole logs.
    Verbose,
}

/// How the terminal is used, and how much is shown.
#[derive(Debug, Clone, Copy)]
pub struct TerminalOptions {
    /// How the terminal is used.
    pub mode: Mode,
    /// How much is shown.
    pub verbosity: Verbosity,
    /// Whether colours are used.
    pub colour: bool,
}

impl TerminalOptions {
    /// What suits this process's environment when the lines go to stdout: live when stdout and stderr are a
    /// terminal, unless `CI` is set or `TERM` is `dumb`; colours when stdout is one, unless `NO_COLOR` is set
    /// (<https://no-color.org>), and elsewhere when `CLICOLOR_FORCE` is.
    #[must_use]
    pub fn of_process(verbosity: Verbosity) -> Self {
        let is_shown = io::stdout().is_terminal();
        let is_drawable = is_shown && io::stderr().is_terminal();
        Self::fitting(is_shown, is_drawable, |name| std::env::var(name).ok(), verbosity)
    }

    fn fitting(
        is_shown: bool,
        is_drawable: bool,
        variable: impl Fn(&str) -> Option<String>,
        verbosity: Verbosity,
    ) -> Self {
        let set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let on = |name| variable(name).is_some_and(|value| !["", "0", "false"].contains(&value.as_str()));
        let is_dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let is_live = is_drawable && !on("CI") && !is_dumb && verbosity != Verbosity::Quiet;
        Self {
            mode: if is_live { Mode::Live } else { Mode::Plain },
            verbosity,
            colour: !set("NO_COLOR") && (is_shown && !is_dumb || on("CLICOLOR_FORCE")),
        }
    }
}

/// Shows a run on a terminal.
pub struct Terminal {
    verbosity: Verbosity,
    paint: Paint,
    live: Option<LiveView>,
    out: Box<dyn Write + Send>,
    trouble: Trouble,
    record: RunRecord,
}

impl Terminal {
    /// Shows a run by lines on `out`, and in [`Mode::Live`] what is running on stderr below them.
    #[must_use]
    pub fn new(options: TerminalOptions, out: Box<dyn Write + Send>) -> Self {
        let paint = Paint::new(options.colour);
        Self {
            verbosity: options.verbosity,
            paint,
            live: (options.mode == Mode::Live).then(|| LiveView::on_stderr(paint)),
            out,
            trouble: Trouble::with("to the terminal"),
            record: RunRecord::keeping(Keep::Outcomes),
        }
    }

    fn print(&mut self, lines: &str) {
        if !self.trouble.none() {
            return;
        }
        let out = &mut self.out;
        let mut write = || writeln!(out, "{lines}").and_then(|()| out.flush());
        let written = match &self.live {
            Some(live) => live.above(write),
            None => write(),
        };
        self.trouble.check(written);
    }

    /// A line about a scenario; the names are a column.
    fn print_of(&mut self, scenario: &str, line: &str) {
        let width = self.name_width();
        let name = self.paint.bold(format!("{scenario:<width$}"));
        self.print(&format!("{name}  {line}"));
    }

    fn name_width(&self) -> usize {
        self.record
            .names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
    }

    fn show_run_event(&mut self, what: &Happening) {
        let is_verbose = self.verbosity == Verbosity::Verbose;
        match what {
            Happening::RunStarted {
                run, scenarios, jobs, ..
            } => {
                let scenarios = wording::count(scenarios.len(), "scenario");
                self.print(&self.paint.dim(format!("run {run}: {scenarios}, {jobs} at once")));
            }
            Happening::TargetReady {
                about,
                kubernetes,
                took,
                ..
            } => {
                let (about, took) = (wording::one_line(about), wording::duration(*took));
                self.print(
                    &self
                        .paint
                        .dim(format!("{about}; Kubernetes {kubernetes}, ready after {took}")),
                );
            }
            Happening::Image { message, done } if is_verbose || *done => {
                self.print(&self.paint.dim(format!("image: {}", wording::one_line(message))));
            }
            Happening::Note { message } => self.print(&format!("note: {}", wording::one_line(message))),
            _ => {}
        }
    }

    fn show_scenario_event(&mut self, scenario: &str, what: &Happening) {
        let is_verbose = self.verbosity == Verbosity::Verbose;
        match what {
            Happening::ScenarioStarted {
                description,
                namespace,
            } if is_verbose => {
                let place = if namespace.is_empty() {
                    String::new()
                } else {
                    format!(" (in {namespace})")
                };
                let line = format!("begins: {}{place}", wording::one_line(description));
                self.print_of(scenario, &self.paint.dim(line));
            }
            Happening::StepProgress { step, message } if is_verbose => {
                self.print_of(
                    scenario,
                    &self
                        .paint
                        .dim(format!("· {step}  {}", wording::one_line(message))),
                );
            }
            Happening::StepEnded { step, outcome, took } if self.shows_step(outcome) => {
                self.print_of(scenario, &self.step_line(step, outcome, *took));
            }
            Happening::Artifact { about, path } if is_verbose => {
                self.print_of(scenario, &self.paint.dim(format!("{about}: {path}")));
            }
            Happening::Note { message } => {
                self.print_of(scenario, &format!("note: {}", wording::one_line(message)));
            }
            Happening::ScenarioEnded { .. } => {
                if let Some(line) = self.verdict_line(scenario) {
                    self.print_of(scenario, &line);
                }
            }
            _ => {}
        }
    }

    /// In the live mode the steps are seen where they run; what failed is worth a line that stays.
    fn shows_step(&self, outcome: &Outcome) -> bool {
        self.live.is_none() || self.verbosity == Verbosity::Verbose || matches!(outcome, Outcome::Failed(_))
    }

    fn step_line(&self, step: &str, outcome: &Outcome, took: Duration) -> String {
        let mark = self.paint.outcome(outcome, wording::mark(outcome));
        let remark = wording::one_line(wording::remark(outcome));
        let remark = console::truncate_str(&remark, LONGEST_REMARK, "…");
        let line = format!(
            "{mark} {step}  {}  {}",
            self.paint.dim(wording::duration(took)),
            remark
        );
        line.trim_end().to_owned()
    }

    fn verdict_line(&self, scenario: &str) -> Option<String> {
        let record = self.record.scenario(scenario)?;
        let (verdict, took) = record.ended?;
        let word = self
            .paint
            .verdict(verdict, &wording::verdict(verdict).to_uppercase());
        if record.steps.is_empty() {
            return Some(word);
        }
        let steps = self.paint.dim(wording::count(record.steps.len(), "step"));
        Some(format!("{word}  {}  {steps}", wording::duration(took)))
    }

    fn show_end(&mut self) {
        if let Some(live) = &self.live {
            live.clear();
        }
        let closing = Closing {
            run: &self.record,
            paint: self.paint,
            verbosity: self.verbosity,
        };
        self.print(&closing.to_string());
    }
}

impl Sink for Terminal {
    fn take(&mut self, event: &Event) {
        self.record.add(event);
        if let Some(live) = &self.live {
            live.take(event, Instant::now());
        }
        if matches!(event.what, Happening::RunEnded { .. }) {
            self.show_end();
        } else if self.verbosity > Verbosity::Quiet {
            match &event.scenario {
                Some(scenario) => self.show_scenario_event(scenario, &event.what),
                None => self.show_run_event(&event.what),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::sink::sample::{self, Paper};

    fn shown(verbosity: Verbosity, colour: bool) -> String {
        let paper = Paper::default();
        let options = TerminalOptions {
            mode: Mode::Plain,
            verbosity,
            colour,
        };
        let mut terminal = Terminal::new(options, Box::new(paper.clone()));
        sample::events().iter().for_each(|event| terminal.take(event));
        paper.text()
    }

    #[test]
    fn a_run_is_shown_by_lines() {
        insta::assert_snapshot!(shown(Verbosity::Normal, false));
    }

    #[test]
    fn a_quiet_run_shows_failures_and_the_summary() {
        insta::assert_snapshot!(shown(Verbosity::Quiet, false));
    }

    #[test]
    fn a_verbose_run_shows_what_steps_see() {
        insta::assert_snapshot!(shown(Verbosity::Verbose, false));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = shown(Verbosity::Normal, true);
        assert!(coloured.contains("\u{1b}[31m"), "{coloured}");
        assert_eq!(
            console::strip_ansi_codes(&coloured),
            shown(Verbosity::Normal, false)
        );
    }

    #[rstest]
    #[case::terminal(true, &[], Mode::Live, true)]
    #[case::pipe(false, &[], Mode::Plain, false)]
    #[case::ci(true, &[("CI", "true")], Mode::Plain, true)]
    #[case::not_ci(true, &[("CI", "false")], Mode::Live, true)]
    #[case::no_color(true, &[("NO_COLOR", "1")], Mode::Live, false)]
    #[case::empty_no_color(true, &[("NO_COLOR", "")], Mode::Live, true)]
    #[case::dumb(true, &[("TERM", "dumb")], Mode::Plain, false)]
    #[case::forced(false, &[("CLICOLOR_FORCE", "1")], Mode::Plain, true)]
    #[case::forbidden(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], Mode::Plain, false)]
    fn the_environment_chooses_the_mode(
        #[case] is_terminal: bool,
        #[case] variables: &[(&str, &str)],
        #[case] mode: Mode,
        #[case] colour: bool,
    ) {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).into())
        };
        let options = TerminalOptions::fitting(is_terminal, is_terminal, variable, Verbosity::Normal);
        assert_eq!((options.mode, options.colour), (mode, colour));
    }

    #[test]
    fn lines_that_go_to_a_file_have_no_colours_and_nothing_is_drawn_between_them() {
        let options = TerminalOptions::fitting(false, false, |_| None, Verbosity::Normal);
        assert_eq!((options.mode, options.colour), (Mode::Plain, false));
        let errors_to_a_file = TerminalOptions::fitting(true, false, |_| None, Verbosity::Normal);
        assert_eq!(
            (errors_to_a_file.mode, errors_to_a_file.colour),
            (Mode::Plain, true)
        );
    }
}
