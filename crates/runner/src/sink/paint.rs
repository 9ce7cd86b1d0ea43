//! Colours of the terminal, or none.

use console::Style;

use crate::event::{Outcome, Verdict};

/// Paints text in the colours that a meaning has everywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colour: bool,
}

impl Paint {
    pub(super) fn new(colour: bool) -> Self {
        Self { colour }
    }

    pub(super) fn bold(self, text: impl AsRef<str>) -> String {
        self.apply(Style::new().bold(), text.as_ref())
    }

    pub(super) fn dim(self, text: impl AsRef<str>) -> String {
        self.apply(Style::new().dim(), text.as_ref())
    }

    pub(super) fn verdict(self, verdict: Verdict, text: &str) -> String {
        let style = match verdict {
            Verdict::Passed => Style::new().green(),
            Verdict::Flaky | Verdict::Skipped => Style::new().yellow(),
            Verdict::Failed => Style::new().red(),
        };
        self.apply(style.bold(), text)
    }

    pub(super) fn outcome(self, outcome: &Outcome, text: &str) -> String {
        let style = match outcome {
            Outcome::Passed { .. } => Style::new().green(),
            Outcome::Skipped { .. } => Style::new().yellow(),
            Outcome::Failed(_) => Style::new().red(),
        };
        self.apply(style, text)
    }

    /// A line of the table: what passed needs no attention.
    pub(super) fn row(self, verdict: Verdict, line: &str) -> String {
        match verdict {
            Verdict::Passed => line.to_owned(),
            Verdict::Skipped => self.dim(line),
            Verdict::Flaky | Verdict::Failed => self.verdict(verdict, line),
        }
    }

    fn apply(self, style: Style, text: &str) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }
}
