//! Standard output of commands that print one text.

use std::io::{self, ErrorKind, Write as _};

use miette::{IntoDiagnostic as _, WrapErr as _};

/// Prints a text; a reader that has seen enough, like `head`, is no failure.
pub(crate) fn print(text: &str) -> miette::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome
            .into_diagnostic()
            .wrap_err("cannot write to standard output"),
    }
}
