//! The signals that ask the program to end in order.

use miette::{IntoDiagnostic as _, WrapErr as _};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::exit_code;

/// Cancels `stop` when a signal comes, and ends the program when a second one does.
pub(crate) fn stop_on_signals(stop: &CancellationToken) -> miette::Result<JoinHandle<()>> {
    let mut signals = StopSignals::listen()?;
    let stop = stop.clone();
    Ok(tokio::spawn(async move {
        signals.received().await;
        eprintln!("\ninterrupted: removing what was made; once more ends at once");
        stop.cancel();
        signals.received().await;
        std::process::exit(exit_code::INTERRUPTED.into());
    }))
}

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
