//! Trouble with writing an output.

use std::{
    error::Error,
    io::{self, Write as _},
    iter,
};

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
    pub(super) fn check<E: Error>(&mut self, result: Result<(), E>) {
        if let Err(error) = result
            && !self.told
        {
            self.told = true;
            // stderr may be what is broken
            let _ = writeln!(
                io::stderr(),
                "warning: cannot write {}: {}",
                self.output,
                chain(&error)
            );
        }
    }
}

/// An error and its causes, in a line.
fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_causes_of_trouble_are_told() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot save")]
        struct Outer(#[source] io::Error);
        assert_eq!(
            chain(&Outer(io::Error::other("disk full"))),
            "cannot save: disk full"
        );
    }
}
