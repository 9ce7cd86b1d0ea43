//! What holds for every output alike.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    Secrets,
    event::{Event, Events, Happening, Sink},
    history::History,
    sink::{
        Github, Html, Junit, Mode, Ndjson, Recorder, Terminal, TerminalOptions, Verbosity,
        sample::{self, Paper},
    },
};

const SECRET: &str = "prefect-rocks & <more> 100%";

/// All outputs of a run into `directory`; what goes to streams goes to `paper`.
fn all(directory: &Path, paper: &Paper, secrets: &Secrets) -> Vec<Box<dyn Sink>> {
    let options = TerminalOptions {
        mode: Mode::Plain,
        verbosity: Verbosity::Verbose,
        colour: true,
    };
    let state = directory.join("history");
    let history = History::load(&state).unwrap_or_else(|_| History::new(&state));
    vec![
        Box::new(Terminal::new(options, Box::new(paper.clone()))),
        Box::new(Junit::new(directory.join("junit.xml"))),
        Box::new(Ndjson::new(directory.join("events.ndjson"))),
        Box::new(Html::new(directory.join("html"), secrets.clone())),
        Box::new(Github::new(
            "scenarios".as_ref(),
            Some(directory.join("summary.md")),
            Box::new(paper.clone()),
        )),
        Box::new(Recorder::new(history)),
    ]
}

/// All that was written to files.
fn files_in(directory: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_in(&path),
            false => vec![(path.display().to_string(), fs::read_to_string(&path).unwrap())],
        })
        .collect()
}

/// `value` with the secret at the end of every text that is free.
fn tainted(value: Value, key: &str, taints: &[String]) -> Value {
    match value {
        Value::String(text) if !["event", "is", "verdict", "scenarios", "step"].contains(&key) => {
            Value::String(format!("{text} {}", taints.join(" ")))
        }
        Value::Array(items) => items.into_iter().map(|item| tainted(item, key, taints)).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key.clone(), tainted(value, &key, taints)))
            .collect(),
        other => other,
    }
}

#[test]
fn no_output_holds_a_secret() {
    let secrets = Secrets::default();
    secrets.learn(SECRET);
    let in_url =
        percent_encoding::utf8_percent_encode(SECRET, percent_encoding::NON_ALPHANUMERIC).to_string();
    let taints = [SECRET.to_owned(), STANDARD.encode(SECRET), in_url];
    let (directory, paper) = (tempfile::tempdir().unwrap(), Paper::default());
    let log = directory.path().join("pod.log");
    fs::write(&log, format!("PASSWORD={}", taints.join("\n"))).unwrap();
    let log = Happening::Artifact {
        about: "log".into(),
        path: log.display().to_string(),
    };

    let events = Events::new(all(&directory.path().join("out"), &paper, &secrets), secrets);
    for event in sample::events() {
        let what = tainted(serde_json::to_value(&event.what).unwrap(), "", &taints);
        events.publish(event.scenario.as_deref(), serde_json::from_value(what).unwrap());
        if matches!(event.what, Happening::ScenarioStarted { .. }) {
            events.publish(event.scenario.as_deref(), log.clone());
        }
    }
    drop(events);

    let mut outputs = files_in(&directory.path().join("out"));
    outputs.push(("streams".into(), paper.text()));
    assert_eq!(
        outputs.len(),
        7,
        "{:?}",
        outputs.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    for (name, text) in &outputs {
        for taint in ["prefect-rocks", &taints[1], "prefect%2Drocks"] {
            assert!(!text.contains(taint), "{name} holds {taint}");
        }
        let shows_nothing = name.ends_with("history.json") || name.ends_with("history.lock");
        assert!(shows_nothing || text.contains("secret"), "{name} shows nothing");
    }
}

#[test]
fn trouble_with_writing_does_not_fail_a_run() {
    let (paper, secrets) = (Paper::default(), Secrets::default());
    let mut sinks = all(Path::new("/dev/null/nothing"), &paper, &secrets);
    for event in sample::events() {
        sinks.iter_mut().for_each(|sink| sink.take(&event));
    }
    drop(sinks);
    assert!(paper.text().contains("4 passed, 2 failed, 1 skipped"));
    assert!(
        paper
            .text()
            .contains("::error file=scenarios/external-postgres-ssl.yaml")
    );
}

#[test]
fn a_hundred_scenarios_are_in_every_output() {
    let (directory, paper, secrets) = (tempfile::tempdir().unwrap(), Paper::default(), Secrets::default());
    let names: Vec<_> = (0..100).map(|index| format!("scenario-{index:03}")).collect();
    let mut sinks = all(directory.path(), &paper, &secrets);
    let mut publish = |event: &Event| sinks.iter_mut().for_each(|sink| sink.take(event));
    publish(&sample::run_started(
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    ));
    let of_one: Vec<_> = sample::events()
        .into_iter()
        .filter(|event| event.scenario.as_deref() == Some("sqlite"))
        .collect();
    for name in &names {
        of_one.iter().for_each(|event| {
            publish(&Event {
                scenario: Some(name.clone()),
                ..event.clone()
            })
        });
    }
    publish(&sample::run_ended());
    drop(sinks);
    let mut outputs = files_in(directory.path());
    outputs.retain(|(name, _)| !name.ends_with(".lock"));
    outputs.push(("streams".into(), paper.text()));
    for (output, text) in outputs {
        assert!(names.iter().all(|name| text.contains(name)), "{output}");
    }
}
