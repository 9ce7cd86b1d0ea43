//! What the outputs of a run cost, as a share of the run's own wall time (limit 2 %).
//!
//! Replays a recorded run to every output: that of `SINKS_EVENTS`, a file that `--events` wrote, or the
//! short one of the tests.

use std::{
    io::{Write, sink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use prefect_e2e::{
    Secrets,
    event::{Event, Events, Happening, Sink},
    history::History,
    sink::{Github, Html, Junit, Mode, Ndjson, Recorder, Terminal, TerminalOptions, Verbosity},
};

const REPLAYS: usize = 5;

fn main() {
    // `cargo test --benches` only wants to know that this builds
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sink/fixtures/run.ndjson");
    let path = std::env::var_os("SINKS_EVENTS").map_or(fixture, PathBuf::from);
    let events = read(&path);
    let wall = wall_time(&events);
    println!("{} events of a run of {:.1} s", events.len(), wall.as_secs_f64());
    for name in ["terminal", "junit", "ndjson", "html", "github", "recorder", "all"] {
        let mut replays: Vec<Duration> = (0..REPLAYS).map(|_| replay(&events, name)).collect();
        replays.sort_unstable();
        let took = replays[REPLAYS / 2];
        let share = 100.0 * took.as_secs_f64() / wall.as_secs_f64();
        println!("{name:<8} {:>8.1} ms {share:>6.3} %", took.as_secs_f64() * 1000.0);
    }
}

fn read(path: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(path).expect("a file of events");
    let event = |line: &str| serde_json::from_str(line).expect("an event");
    text.lines().map(event).collect()
}

fn wall_time(events: &[Event]) -> Duration {
    let ended = |event: &Event| match event.what {
        Happening::RunEnded { took, .. } => Some(took),
        _ => None,
    };
    events.iter().find_map(ended).expect("a run that has ended")
}

/// How long the outputs of this `name` take for all events, writing what they write.
fn replay(events: &[Event], name: &str) -> Duration {
    let directory = tempfile::tempdir().expect("a directory");
    let secrets = Secrets::default();
    secrets.learn("a-password-that-is-looked-for-in-every-event");
    let outputs = outputs(directory.path(), &secrets);
    let chosen = outputs
        .into_iter()
        .filter(|(output, _)| name == "all" || *output == name)
        .map(|(_, output)| output);
    let all = Events::new(chosen.collect(), secrets);
    let begin = Instant::now();
    for event in events {
        all.publish(event.scenario.as_deref(), event.what.clone());
    }
    begin.elapsed()
}

fn outputs(directory: &Path, secrets: &Secrets) -> Vec<(&'static str, Box<dyn Sink>)> {
    let options = TerminalOptions {
        mode: Mode::Plain,
        verbosity: Verbosity::Verbose,
        colour: true,
    };
    let nowhere = || -> Box<dyn Write + Send> { Box::new(sink()) };
    let github = Github::new(
        "scenarios".as_ref(),
        Some(directory.join("summary.md")),
        nowhere(),
    );
    vec![
        ("terminal", Box::new(Terminal::new(options, nowhere()))),
        ("junit", Box::new(Junit::new(directory.join("junit.xml")))),
        ("ndjson", Box::new(Ndjson::new(directory.join("events.ndjson")))),
        (
            "html",
            Box::new(Html::new(directory.join("html"), secrets.clone())),
        ),
        ("github", Box::new(github)),
        (
            "recorder",
            Box::new(Recorder::new(History::new(&directory.join("history")))),
        ),
    ]
}
