//! What making an image reports.

use serde::{Deserialize, Serialize};

/// What making an image reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PullProgress {
    /// The making of an image begins.
    Started {
        /// The reference asked for.
        reference: String,
    },
    /// Another program makes the same image; this one waits for it.
    Waiting,
    /// What is being done now.
    Step {
        /// For people.
        message: String,
    },
    /// The image is there.
    Done {
        /// The reference asked for.
        reference: String,
        /// What it is.
        about: String,
    },
}
