//! How the outputs say the same things the same way.

use std::{borrow::Cow, time::Duration};

use crate::event::{Failure, Outcome, Verdict};

/// `340 ms`, `12.3 s`, `2 min 03 s`, `1 h 02 min`.
pub(super) fn duration(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    let seconds = (duration.as_millis() + 500) / 1000;
    match seconds {
        _ if duration < Duration::from_secs(1) => format!("{} ms", duration.as_millis()),
        0..60 => format!("{}.{} s", tenths / 10, tenths % 10),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `12 s`, `2 min 03 s`: for times that are still going on.
pub(super) fn whole_seconds(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// The summary of a run: `3 passed, 1 failed, 0 skipped`.
pub(super) fn totals(passed: usize, failed: usize, skipped: usize) -> String {
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

/// The mark of a step's end.
pub(super) fn mark(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed { .. } => "✓",
        Outcome::Skipped { .. } => "–",
        Outcome::Failed(_) => "✗",
    }
}

/// What there is to say of a step's end in a line: what was seen, the reason, or the cause.
pub(super) fn remark(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Passed { seen } => seen,
        Outcome::Skipped { reason } => reason,
        Outcome::Failed(failure) => &failure.cause,
    }
}

/// The verdict in a word.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Flaky => "flaky",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

/// A failure as text, the cause first.
pub(super) fn failure(failure: &Failure) -> String {
    let mut text = failure.cause.clone();
    for (title, fact) in facts(failure) {
        text.push_str(&format!("\n{title}: {fact}"));
    }
    for detail in &failure.details {
        text.push_str(&format!("\n\n{}:\n{}", detail.title, detail.text.trim_end()));
    }
    text
}

/// What there is to say of a failure beside its cause and its surroundings.
pub(super) fn facts(failure: &Failure) -> impl Iterator<Item = (&'static str, &str)> {
    let all = [
        ("expected", &failure.expected),
        ("found", &failure.found),
        ("object", &failure.object),
        ("rerun", &failure.rerun),
    ];
    all.into_iter()
        .map(|(title, fact)| (title, fact.as_str()))
        .filter(|(_, fact)| !fact.is_empty())
}

/// `text` as it may be shown: without escape sequences and other control characters, which the log
/// lines of a pod may hold and a terminal would obey. Line ends and tabs stay.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        console::strip_ansi_codes(text)
            .chars()
            .filter(|c| !is_harmful(*c))
            .collect(),
    )
}

/// `text` in one line.
pub(super) fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0 ms")]
    #[case(999, "999 ms")]
    #[case(1_000, "1.0 s")]
    #[case(12_349, "12.3 s")]
    #[case(59_960, "1 min 00 s")]
    #[case(123_400, "2 min 03 s")]
    #[case(3_725_000, "1 h 02 min")]
    fn durations_are_readable(#[case] milliseconds: u64, #[case] expected: &str) {
        assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(
            printable("\u{1b}[31mred\u{1b}[0m\u{7}\r\nnext\tcolumn"),
            "red\nnext\tcolumn"
        );
        assert_eq!(one_line("a\n  b\tc\u{8}"), "a b c");
    }
}
