//! The outputs of a run. Each is a [`Sink`](crate::event::Sink) of the run's events, keeps no more of
//! them than it shows, and never fails the run: trouble with writing is told once on stderr.

mod closing;
#[cfg(test)]
mod every_sink;
mod github;
mod html;
mod html_evidence;
mod html_view;
mod junit;
mod live;
mod markdown;
mod ndjson;
mod paint;
mod record;
mod recorder;
#[cfg(test)]
mod sample;
mod scenario_record;
mod terminal;
mod timeline;
mod trouble;
mod versions;
pub(crate) mod whole_file;
mod wording;

pub use github::Github;
pub use html::Html;
pub use junit::Junit;
pub use ndjson::Ndjson;
pub use recorder::Recorder;
pub use terminal::{Mode, Terminal, TerminalOptions, Verbosity};
pub(crate) use wording::count;
