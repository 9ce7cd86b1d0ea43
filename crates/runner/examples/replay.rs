//! Shows a run again from its events: `prefect-e2e run --events FILE`, then
//! `cargo run -p prefect-e2e --example replay -- FILE --html DIR`, or with `--speed 10` on the terminal as
//! it was, ten times as fast.

use std::{io, path::PathBuf, thread, time::Duration};

use clap::Parser;
use prefect_e2e::{
    Secrets,
    event::{Event, Sink},
    sink::{Github, Html, Junit, Terminal, TerminalOptions, Verbosity},
};

#[derive(Parser)]
struct Arguments {
    /// The events
    events: PathBuf,
    /// How many times as fast as it was; all at once by default
    #[arg(long)]
    speed: Option<f64>,
    /// Only failures and the summary
    #[arg(long)]
    quiet: bool,
    /// All that is known
    #[arg(long, conflicts_with = "quiet")]
    verbose: bool,
    /// Write the HTML report to this directory
    #[arg(long)]
    html: Option<PathBuf>,
    /// Write JUnit XML to this file
    #[arg(long)]
    junit: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let terminal = Terminal::new(TerminalOptions::of_process(verbosity), Box::new(io::stdout()));
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(terminal)];
    if let Some(directory) = arguments.html {
        sinks.push(Box::new(Html::new(directory, Secrets::default())));
    }
    if let Some(file) = arguments.junit {
        sinks.push(Box::new(Junit::new(file)));
    }
    if let Some(github) = Github::of_process("scenarios".as_ref()) {
        sinks.push(Box::new(github));
    }
    let mut last = None;
    for line in std::fs::read_to_string(arguments.events)?.lines() {
        let event: Event = serde_json::from_str(line)?;
        let since = last
            .replace(event.time)
            .map(|last| event.time.duration_since(last))
            .unwrap_or_default();
        if let Some(speed) = arguments.speed {
            thread::sleep(Duration::try_from(since).unwrap_or_default().div_f64(speed));
        }
        sinks.iter_mut().for_each(|sink| sink.take(&event));
    }
    Ok(())
}
