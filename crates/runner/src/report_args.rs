//! The part of the command line that says how a run is told.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    event::Sink,
    secrecy::Secrets,
    sink::{Github, Html, Junit, Ndjson, Terminal, TerminalOptions, Verbosity},
};

/// How much the terminal says.
#[derive(Debug, Args)]
pub(crate) struct TerminalArgs {
    /// Say the failures and the summary alone
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Say everything: what each step sees on its way, whole logs
    #[arg(long, short)]
    verbose: bool,
}

impl TerminalArgs {
    /// What writes to the terminal.
    pub(crate) fn sink(&self) -> Box<dyn Sink> {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Box::new(Terminal::new(
            TerminalOptions::of_process(verbosity),
            Box::new(std::io::stdout()),
        ))
    }
}

/// Which reports are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
pub(crate) struct ReportArgs {
    /// Write a JUnit report
    #[arg(long, value_name = "FILE", env = "PREFECT_E2E_JUNIT")]
    junit: Option<PathBuf>,
    /// Write every event as a line of JSON; docs/events.md describes them
    #[arg(long, value_name = "FILE", env = "PREFECT_E2E_EVENTS")]
    events: Option<PathBuf>,
    /// Write a report of one HTML page, index.html, that needs no network
    #[arg(long, value_name = "DIR", env = "PREFECT_E2E_HTML")]
    html: Option<PathBuf>,
}

impl ReportArgs {
    /// What writes the reports; `directory` is that of the scenarios, for annotations at GitHub.
    pub(crate) fn sinks(&self, directory: &Path, secrets: &Secrets) -> Vec<Box<dyn Sink>> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(path) = &self.junit {
            sinks.push(Box::new(Junit::new(path.clone())));
        }
        if let Some(path) = &self.events {
            sinks.push(Box::new(Ndjson::new(path.clone())));
        }
        if let Some(directory) = &self.html {
            sinks.push(Box::new(Html::new(directory.clone(), secrets.clone())));
        }
        if let Some(github) = Github::of_process(directory) {
            sinks.push(Box::new(github));
        }
        sinks
    }
}
