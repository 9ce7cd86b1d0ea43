//! What runs at the moment, redrawn in place below the lines that stay.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    event::{Event, Happening, Verdict},
    sink::{paint::Paint, wording},
};

const SPINNER: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇", "⠏", "⠛"];
const FRAME: Duration = Duration::from_millis(125);

/// Lines of the screen that are left to what was printed before, so that it does not jump away.
const LINES_LEFT_FREE: usize = 2;

/// Draws a [`Board`] on stderr, again and again.
pub(super) struct LiveView {
    board: Arc<Mutex<Board>>,
    // one bar whose text is the whole board: a single thread redraws all lines at once
    bar: ProgressBar,
}

impl LiveView {
    pub(super) fn on_stderr(paint: Paint) -> Self {
        let board = Arc::new(Mutex::new(Board::default()));
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let drawn = Arc::clone(&board);
        let draw = move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let (height, width) = console::Term::stderr().size();
            let board = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = board.lines(Instant::now(), paint, usize::from(height), usize::from(width));
            // a string takes all that is written to it
            let _ = out.write_str(&lines.join("\n"));
        };
        let style = ProgressStyle::with_template("{board}").unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("board", draw));
        bar.enable_steady_tick(FRAME);
        Self { board, bar }
    }

    /// Takes an event that came `now`.
    pub(super) fn take(&self, event: &Event, now: Instant) {
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(event, now);
    }

    /// Writes above the board.
    pub(super) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Removes the board from the screen.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What runs at the moment.
#[derive(Default)]
struct Board {
    started: Option<Instant>,
    total: usize,
    /// The scenarios that have ended, and whether they failed.
    ended: BTreeMap<String, bool>,
    is_target_ready: bool,
    /// The image that is being made.
    image: Option<String>,
    running: Vec<Running>,
}

struct Running {
    scenario: String,
    step: String,
    since: Instant,
    /// The last answer of its probe.
    sees: String,
}

impl Board {
    fn take(&mut self, event: &Event, now: Instant) {
        match (&event.scenario, &event.what) {
            (None, Happening::RunStarted { scenarios, .. }) => {
                self.started = Some(now);
                self.total = scenarios.len();
            }
            (None, Happening::TargetReady { .. }) => self.is_target_ready = true,
            (_, Happening::Image { message, done }) => {
                self.image = (!done).then(|| wording::one_line(message));
            }
            (Some(scenario), Happening::ScenarioStarted { .. }) => {
                // this may be another attempt
                self.ended.remove(scenario);
                self.running.retain(|running| running.scenario != *scenario);
                let (scenario, step, sees) = (scenario.clone(), String::new(), String::new());
                self.running.push(Running {
                    scenario,
                    step,
                    since: now,
                    sees,
                });
            }
            (Some(scenario), Happening::StepStarted { step }) => {
                if let Some(running) = self.find(scenario) {
                    running.step.clone_from(step);
                    running.since = now;
                    running.sees.clear();
                }
            }
            (Some(scenario), Happening::StepProgress { message, .. }) => {
                if let Some(running) = self.find(scenario) {
                    running.sees = wording::one_line(message);
                }
            }
            (Some(scenario), Happening::ScenarioEnded { verdict, .. }) => {
                self.running.retain(|running| running.scenario != *scenario);
                self.ended.insert(scenario.clone(), *verdict == Verdict::Failed);
            }
            _ => {}
        }
    }

    fn find(&mut self, scenario: &str) -> Option<&mut Running> {
        self.running
            .iter_mut()
            .find(|running| running.scenario == scenario)
    }

    /// The board at a moment, no larger than the screen.
    fn lines(&self, now: Instant, paint: Paint, height: usize, width: usize) -> Vec<String> {
        let Some(started) = self.started else {
            return Vec::new();
        };
        let elapsed = now.saturating_duration_since(started);
        let frame = usize::try_from(elapsed.as_millis() / FRAME.as_millis()).unwrap_or(0);
        let spinner = SPINNER[frame % SPINNER.len()];
        let summary_lines = 1 + usize::from(self.image.is_some());
        let room = height.saturating_sub(LINES_LEFT_FREE + summary_lines).max(1);
        let shown = if self.running.len() > room {
            room - 1
        } else {
            self.running.len()
        };
        let column = |of: fn(&Running) -> &str, most| {
            self.running[..shown]
                .iter()
                .map(|running| of(running).chars().count())
                .max()
                .unwrap_or(0)
                .min(most)
        };
        let name_width = column(|running| &running.scenario, width / 3);
        let step_width = column(|running| &running.step, width / 3);
        let mut lines = Vec::new();
        for running in &self.running[..shown] {
            let name = console::truncate_str(&running.scenario, name_width, "…");
            let step = console::truncate_str(&running.step, step_width, "…");
            let time = wording::whole_seconds(now.saturating_duration_since(running.since));
            let mut line = format!("{spinner} {}  ", paint.bold(format!("{name:<name_width$}")));
            let _ = write!(
                line,
                "{step:<step_width$}  {}  {}",
                paint.dim(format!("{time:>6}")),
                running.sees
            );
            lines.push(line);
        }
        if shown < self.running.len() {
            lines.push(paint.dim(format!("  … and {} more running", self.running.len() - shown)));
        }
        lines.extend(
            self.image
                .as_ref()
                .map(|image| format!("{spinner} image: {image}")),
        );
        lines.push(self.summary(elapsed, paint));
        let fits = |line: String| console::truncate_str(&line, width.saturating_sub(1), "…").into_owned();
        lines.into_iter().map(fits).collect()
    }

    fn summary(&self, elapsed: Duration, paint: Paint) -> String {
        let failed = self.ended.values().filter(|failed| **failed).count();
        let mut words = vec![format!("{} of {} done", self.ended.len(), self.total)];
        words.extend((failed > 0).then(|| paint.verdict(Verdict::Failed, &format!("{failed} failed"))));
        if self.is_target_ready {
            words.push(format!("{} running", self.running.len()));
        } else {
            words.push("the cluster is being made ready".into());
        }
        words.push(wording::whole_seconds(elapsed));
        words.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::sample;

    const WIDTH: usize = 80;

    fn board_after(events: &[Event], begin: Instant) -> Board {
        let mut board = Board::default();
        events.iter().for_each(|event| board.take(event, begin));
        board
    }

    #[test]
    fn the_board_shows_what_runs_now() {
        let begin = Instant::now();
        let board = board_after(&sample::events()[..31], begin);
        let lines = board.lines(
            begin + Duration::from_millis(12_400),
            Paint::new(false),
            24,
            WIDTH,
        );
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_hundred_scenarios_fit_the_screen() {
        let begin = Instant::now();
        let names: Vec<_> = (0..100)
            .map(|index| format!("scenario-with-a-long-name-{index}"))
            .collect();
        let mut events = vec![sample::run_started(
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        )];
        for name in &names {
            let (description, namespace) = (String::new(), String::new());
            let (step, message) = ("health through the Service".to_owned(), "refused ".repeat(50));
            events.extend(
                [
                    Happening::ScenarioStarted {
                        description,
                        namespace,
                    },
                    Happening::StepStarted { step: step.clone() },
                    Happening::StepProgress { step, message },
                ]
                .map(|what| sample::event(Some(name), what)),
            );
        }
        let board = board_after(&events, begin);
        for (height, width) in [(24, 80), (10, 40), (3, 20), (1, 2), (200, 300)] {
            let lines = board.lines(begin, Paint::new(true), height, width);
            assert!(lines.len() <= height.max(2), "{height}: {}", lines.len());
            assert!(
                lines
                    .iter()
                    .all(|line| console::measure_text_width(line) <= width),
                "{lines:#?}"
            );
        }
        let lines = board.lines(begin, Paint::new(false), 24, 80);
        assert_eq!(lines[lines.len() - 2], "  … and 80 more running");
    }
}
