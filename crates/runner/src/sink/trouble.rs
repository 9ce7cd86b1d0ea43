//! Trouble with writing an output.

use std::io::{self, Write as _};

/// Tells the first error of an output on stderr and no other: an output never fails a run.
pub(super) struct Trouble {
    output: String,
    told: bool,
}

impl Trouble {
    /// For the output that a reader of the message knows as `output`.
    pub(super) fn with(output: impl Into<String>) -> Self {
        Self {
            output: output.into(),
            told: false,
        }
    }

    /// Whether the output works; once it did not, it is not worth trying again.
    pub(super) fn none(&self) -> bool {
        !self.told
    }

    /// Tells the error of `result`, if it is one and the first.
    pub(super) fn check<T>(&mut self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if !self.told {
                    self.told = true;
                    // stderr may be what is broken
                    let _ = writeln!(io::stderr(), "warning: cannot write {}: {error}", self.output);
                }
                None
            }
        }
    }
}
