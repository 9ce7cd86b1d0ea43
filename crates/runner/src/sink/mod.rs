//! The outputs of a run. Each is a [`Sink`](crate::event::Sink) of the run's events, keeps no more of
//! them than it shows, and never fails the run: trouble with writing is told once on stderr.

mod live;
mod paint;
mod record;
#[cfg(test)]
mod sample;
mod terminal;
mod trouble;
mod wording;

pub use terminal::{Mode, Terminal, TerminalOptions, Verbosity};
