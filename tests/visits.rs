//! Deployments that people look at: opened on their own, where a scenario has failed, and again on a save.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    pty::openpty,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use prefect_e2e_tests::{command, skip};

/// A boot on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(240);

const SCENARIO: &str = "
description: to be looked at
values:
  global: {prefect: {env: [{name: PREFECT_SERVER_ANALYTICS_ENABLED, value: 'false'}]}}
  postgresql: {enabled: false}
  sqlite: {enabled: true}
  server:
    resources: {requests: {cpu: 50m, memory: 128Mi}}
    # a port that is free, so that nobody else's is taken
    uiConfig: {prefectUiApiUrl: 'http://prefect.example.com/api'}
";

/// The program at work, and what it has said.
struct Visit {
    child: Child,
    output: PathBuf,
}

impl Visit {
    fn start(directory: &Path, arguments: &[&str], scenario: &str, stdin: Stdio) -> Self {
        let file = directory.join("visited.yaml");
        fs::write(&file, scenario).unwrap();
        let output = directory.join("output");
        let writer = File::options().create(true).append(true).open(&output).unwrap();
        let child = command(directory)
            .args(&arguments[..1])
            .arg(&file)
            .args(&arguments[1..])
            .args(["--target", "embedded"])
            .stdin(stdin)
            .stderr(writer.try_clone().unwrap())
            .stdout(writer)
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Waits until `part` was said `times`; `false` when this machine has no cluster.
    fn says(&mut self, part: &str, times: usize) -> bool {
        let begin = Instant::now();
        while self.said().matches(part).count() < times {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(2), "{}", self.said());
                skip(self.said());
                return false;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{part:?} is not said: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        true
    }

    /// Asks for the API's health at the port that was said.
    fn asks(&self) -> Option<String> {
        let said = self.said();
        let (_, rest) = said
            .split_once("UI   http://")
            .or_else(|| said.split_once("UI http://"))?;
        let address = rest.split_whitespace().next()?;
        let mut connection = TcpStream::connect(address).ok()?;
        let request = format!("GET /api/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGINT).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

#[test]
fn an_open_scenario_answers_until_it_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let mut visit = Visit::start(directory.path(), &["open"], SCENARIO, Stdio::null());
    if !visit.says("Ctrl-C removes it", 1) {
        return;
    }
    let answer = visit.asks().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    visit.interrupt();
    assert_eq!(visit.end().code(), Some(0), "{}", visit.said());
    assert!(visit.said().contains("✓ clean up"), "{}", visit.said());
    assert!(visit.asks().is_none(), "it still answers");
}

#[test]
fn a_failure_can_be_looked_at_until_enter() {
    let directory = tempfile::tempdir().unwrap();
    let terminal = openpty(None, None).unwrap();
    // there is no bundled database to find rows in
    let scenario = format!("{SCENARIO}proves: [databaseRows]\n");
    let arguments = ["run", "--pause-on-failure"];
    let mut visit = Visit::start(
        directory.path(),
        &arguments,
        &scenario,
        Stdio::from(terminal.slave),
    );
    if !visit.says("Enter goes on", 1) {
        return;
    }
    let answer = visit.asks().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // a terminal that is gone would end the wait for its input, too
    let mut keyboard = File::from(terminal.master);
    keyboard.write_all(b"\n").unwrap();
    assert_eq!(visit.end().code(), Some(1), "{}", visit.said());
    assert!(visit.said().contains("✓ clean up"), "{}", visit.said());
    drop(keyboard);
}

#[test]
fn a_saved_scenario_is_proven_again_on_the_same_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let mut visit = Visit::start(directory.path(), &["watch"], SCENARIO, Stdio::null());
    if !visit.says("waiting for a change", 1) {
        return;
    }
    let file = directory.path().join("visited.yaml");
    fs::write(
        &file,
        SCENARIO.replace("server:\n", "server:\n    loggingLevel: INFO\n"),
    )
    .unwrap();
    assert!(visit.says("waiting for a change", 2), "{}", visit.said());
    fs::write(
        &file,
        SCENARIO.replace("server:\n", "server:\n    loggingLevle: INFO\n"),
    )
    .unwrap();
    assert!(visit.says("did you mean `loggingLevel`?", 1), "{}", visit.said());
    assert!(visit.says("waiting for a change", 3), "{}", visit.said());
    visit.interrupt();
    assert_eq!(visit.end().code(), Some(0), "{}", visit.said());
    let said = visit.said();
    assert_eq!(said.matches("✓ namespace").count(), 1, "{said}");
    assert!(said.contains("✓ redeploy"), "{said}");
    assert_eq!(said.matches("PASSED").count(), 2, "{said}");
}
