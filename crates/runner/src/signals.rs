//! The signals that ask the program to end in order.

use miette::{IntoDiagnostic as _, WrapErr as _};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// From now on neither signal ends the process by itself.
    pub(crate) fn listen() -> miette::Result<Self> {
        let listen = |kind| {
            signal(kind)
                .into_diagnostic()
                .wrap_err("cannot listen to signals")
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Returns when one of them comes.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
