//! A scenario's steps in time, as numbers to draw.

use std::time::Duration;

use jiff::Timestamp;

use crate::sink::{
    scenario_record::{ScenarioRecord, StepRecord},
    wording,
};

/// The most marks of the time axis.
const MOST_TICKS: u128 = 6;

/// Distances of marks that a person reads easily, in milliseconds.
const DISTANCES: [u128; 21] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000,
    300_000, 600_000, 1_800_000, 3_600_000,
];

/// A span of time that positions are relative to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: Timestamp,
    length: Duration,
}

/// A part of a span, in percent of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    /// Where it begins.
    pub(super) x: f64,
    /// How long it is.
    pub(super) width: f64,
}

/// The steps of a scenario in time.
pub(super) struct Timeline<'a> {
    /// A bar a step.
    pub(super) bars: Vec<Bar<'a>>,
    /// What steps saw on their way.
    pub(super) sightings: Vec<Sighting<'a>>,
    /// The marks of the time axis.
    pub(super) ticks: Vec<Tick>,
    /// How many bars lie one above the other at most.
    pub(super) lanes: usize,
}

/// A step in time.
pub(super) struct Bar<'a> {
    /// Its number, from 1.
    pub(super) number: usize,
    /// The step.
    pub(super) step: &'a StepRecord,
    /// Where it is.
    pub(super) extent: Extent,
    /// Which lane it is in: steps at the same time lie one above the other.
    pub(super) lane: usize,
}

/// Something that a step saw on its way.
pub(super) struct Sighting<'a> {
    /// When, in percent.
    pub(super) x: f64,
    /// The lane of its step.
    pub(super) lane: usize,
    /// What.
    pub(super) message: &'a str,
}

/// A mark of the time axis.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    /// Where, in percent.
    pub(super) x: f64,
    /// The time.
    pub(super) label: String,
}

// === impl Span ===

impl Span {
    pub(super) fn new(start: Timestamp, length: Duration) -> Self {
        Self {
            start,
            length: length.max(Duration::from_millis(1)),
        }
    }

    /// When `time` is, after the start.
    pub(super) fn offset(self, time: Timestamp) -> Duration {
        Duration::try_from(time.duration_since(self.start)).unwrap_or_default()
    }

    /// Where `time` is.
    pub(super) fn position(self, time: Timestamp) -> f64 {
        (100.0 * self.offset(time).as_secs_f64() / self.length.as_secs_f64()).min(100.0)
    }

    /// Where something is that began at `time`.
    pub(super) fn extent(self, time: Timestamp, took: Duration) -> Extent {
        let x = self.position(time);
        let width = 100.0 * took.as_secs_f64() / self.length.as_secs_f64();
        Extent {
            x,
            width: width.min(100.0 - x),
        }
    }

    fn ticks(self) -> Vec<Tick> {
        let length = self.length.as_millis();
        let fits = |distance: &u128| length / distance <= MOST_TICKS;
        let distance = DISTANCES
            .into_iter()
            .find(fits)
            .unwrap_or(length.div_ceil(MOST_TICKS));
        let marks = (0..=length / distance).map(|index| index * distance);
        marks
            .map(|at| {
                let x = 100.0 * at as f64 / length as f64;
                Tick {
                    x,
                    label: tick_label(Duration::from_millis(u64::try_from(at).unwrap_or(u64::MAX))),
                }
            })
            .collect()
    }
}

fn tick_label(at: Duration) -> String {
    match at.as_millis() {
        0 => "0".to_owned(),
        1..1_000 => format!("{} ms", at.as_millis()),
        1_000..60_000 => wording::whole_seconds(at),
        _ => clock(at.as_secs()),
    }
}

/// `1:30`, `1:00:00`: short, as marks stand close together on a telephone.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

// === impl Timeline ===

impl<'a> Timeline<'a> {
    /// The timeline of a scenario; `None` when it has no steps in time.
    pub(super) fn of(scenario: &'a ScenarioRecord) -> Option<Self> {
        let span = span(scenario)?;
        let mut lanes: Vec<Timestamp> = Vec::new();
        let (mut bars, mut sightings) = (Vec::new(), Vec::new());
        for (index, step) in scenario.steps.iter().enumerate() {
            let took = step.ended.as_ref().map(|(_, took)| *took);
            let end = end_of(step, took, span);
            let lane = lanes
                .iter()
                .position(|free| *free <= step.started)
                .unwrap_or_else(|| {
                    lanes.push(end);
                    lanes.len() - 1
                });
            lanes[lane] = end;
            let extent = span.extent(
                step.started,
                span.offset(end).saturating_sub(span.offset(step.started)),
            );
            bars.push(Bar {
                number: index + 1,
                step,
                extent,
                lane,
            });
            let seen = step.progress.iter();
            sightings.extend(seen.map(|(time, message)| Sighting {
                x: span.position(*time),
                lane,
                message,
            }));
        }
        Some(Self {
            bars,
            sightings,
            ticks: span.ticks(),
            lanes: lanes.len(),
        })
    }
}

/// From the begin of the latest attempt to its end, or to the last that is known.
fn span(scenario: &ScenarioRecord) -> Option<Span> {
    let first = scenario.steps.first()?;
    let start = scenario.started.unwrap_or(first.started);
    let ends = scenario.steps.iter().map(|step| {
        let seen = step.progress.last().map_or(step.started, |(time, _)| *time);
        step.ended.as_ref().map_or(seen, |(_, took)| step.started + *took)
    });
    let end = ends.max().unwrap_or(start);
    Some(Span::new(
        start,
        Duration::try_from(end.duration_since(start)).unwrap_or_default(),
    ))
}

/// A step that has not ended reaches to the end of what is known.
fn end_of(step: &StepRecord, took: Option<Duration>, span: Span) -> Timestamp {
    took.map_or(span.start + span.length, |took| step.started + took)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        event::Happening,
        sink::{
            record::{Keep, RunRecord},
            sample,
        },
    };

    #[rstest]
    #[case(2, &["0", "1 ms", "2 ms"])]
    #[case(900, &["0", "200 ms", "400 ms", "600 ms", "800 ms"])]
    #[case(29_200, &["0", "5 s", "10 s", "15 s", "20 s", "25 s"])]
    #[case(200_000, &["0", "30 s", "1:00", "1:30", "2:00", "2:30", "3:00"])]
    #[case(4_000_000, &["0", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00:00"])]
    fn ticks_are_round(#[case] length: u64, #[case] labels: &[&str]) {
        let span = Span::new(Timestamp::UNIX_EPOCH, Duration::from_millis(length));
        let ticks: Vec<_> = span.ticks().into_iter().map(|tick| tick.label).collect();
        assert_eq!(ticks, labels);
    }

    #[test]
    fn steps_lie_one_after_the_other() {
        let mut record = RunRecord::keeping(Keep::Everything);
        sample::events().iter().for_each(|event| record.add(event));
        let timeline = Timeline::of(record.scenario("sqlite").unwrap()).unwrap();
        assert_eq!((timeline.bars.len(), timeline.lanes), (7, 1));
        for pair in timeline.bars.windows(2) {
            assert!(pair[0].extent.x + pair[0].extent.width <= pair[1].extent.x + 0.01);
        }
        let last = timeline.bars.last().unwrap().extent;
        assert!((last.x + last.width - 100.0).abs() < 0.01, "{last:?}");
    }

    #[test]
    fn steps_at_the_same_time_lie_one_above_the_other() {
        let mut record = RunRecord::keeping(Keep::Everything);
        for step in ["one", "other"] {
            record.add(&sample::event(
                Some("s"),
                Happening::StepStarted { step: step.into() },
            ));
        }
        let timeline = Timeline::of(record.scenario("s").unwrap()).unwrap();
        assert_eq!(
            timeline.bars.iter().map(|bar| bar.lane).collect::<Vec<_>>(),
            [0, 1]
        );
    }
}
