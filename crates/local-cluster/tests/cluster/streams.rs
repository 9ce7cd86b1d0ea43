//! Commands in containers, attached clients and logs.

use std::{io::Write as _, process::Stdio};

use kube::api::AttachParams;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::suite::{Failure, Suite, expect, expect_eq, pod};

const FOREVER: &str = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

/// How kubectl is told not to speak WebSocket.
const OLD_PROTOCOL: (&str, &str) = ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false");

pub(crate) fn exec_code(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("exec-code")?;
    place.apply(&[pod("p", FOREVER, &json!({}), &json!({}))])?;
    place.until_ready("p")?;
    for environment in [None, Some(OLD_PROTOCOL)] {
        let mut command = place.command(&["exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
        let output = command.envs(environment).output()?;
        expect_eq(output.status.code(), Some(3))?;
        expect_eq(String::from_utf8_lossy(&output.stdout).as_ref(), "out\n")?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        expect_eq(errors.as_str(), "err\ncommand terminated with exit code 3\n")?;
    }
    let missing = place.try_kubectl(&["exec", "p", "--", "nonesuch"])?;
    let errors = String::from_utf8_lossy(&missing.stderr).into_owned();
    expect(errors.contains("executable file not found in $PATH"), || {
        errors.clone()
    })
}

pub(crate) fn exec_input(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("exec-input")?;
    place.apply(&[pod("p", FOREVER, &json!({}), &json!({}))])?;
    place.until_ready("p")?;
    let text = "a line\n".repeat(100_000);
    for environment in [None, Some(OLD_PROTOCOL)] {
        let mut command = place.command(&["exec", "-i", "p", "--", "cat"]);
        let mut child = command
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().ok_or("no input")?;
        let sent = text.clone();
        let writer = std::thread::spawn(move || input.write_all(sent.as_bytes()));
        let output = child.wait_with_output()?;
        writer.join().map_err(|_| "the writer failed")??;
        expect(output.status.success(), || {
            String::from_utf8_lossy(&output.stderr).into_owned()
        })?;
        expect_eq(output.stdout.len(), text.len())?;
    }
    let directory = tempfile::tempdir()?;
    let (sent, received) = (directory.path().join("sent"), directory.path().join("received"));
    std::fs::write(&sent, &text)?;
    // an ordinary user's cluster has no other owner to give to files
    place.kubectl(&["cp", "--no-preserve", &sent.to_string_lossy(), "p:/tmp/file"])?;
    place.kubectl(&["cp", "p:/tmp/file", &received.to_string_lossy()])?;
    expect_eq(std::fs::read(&received)?, text.into_bytes())
}

pub(crate) fn exec_from_kube(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("exec-kube")?;
    place.apply(&[pod("p", FOREVER, &json!({}), &json!({}))])?;
    place.until_ready("p")?;
    suite.runtime.block_on(async {
        let parameters = AttachParams::default().stdin(true).stderr(false);
        let mut process = place
            .pods()
            .exec("p", ["sh", "-c", "head -c 5; exit 7"], &parameters)
            .await?;
        let status = process.take_status().ok_or("no status")?;
        let mut input = process.stdin().ok_or("no input")?;
        input.write_all(b"hello").await?;
        let mut output = String::new();
        process
            .stdout()
            .ok_or("no output")?
            .read_to_string(&mut output)
            .await?;
        expect_eq(output.as_str(), "hello")?;
        let status = status.await.ok_or("no status came")?;
        expect_eq(status.reason.as_deref(), Some("NonZeroExitCode"))
    })
}

pub(crate) fn logs(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("logs")?;
    // the two streams have no order among each other: the last line waits for the others
    let script = "echo one; echo two >&2; until [ -e /tmp/go ]; do sleep 0.05; done; echo three";
    place.apply(&[pod("p", script, &json!({}), &json!({"restartPolicy": "Never"}))])?;
    place.eventually(|| {
        let log = place.kubectl(&["logs", "p"]).ok()?;
        (log.lines().count() == 2).then_some(())
    })?;
    let follow = place
        .command(&["logs", "-f", "p"])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    place.kubectl(&["exec", "p", "--", "touch", "/tmp/go"])?;
    let followed = String::from_utf8(follow.wait_with_output()?.stdout)?;
    let mut lines: Vec<&str> = followed.lines().collect();
    lines.sort_unstable();
    expect_eq(lines, vec!["one", "three", "two"])?;
    place.until_ended("p")?;
    expect_eq(place.kubectl(&["logs", "p", "--tail=1"])?.as_str(), "three\n")?;
    expect_eq(
        place
            .kubectl(&["logs", "p", "--since-time=2100-01-01T00:00:00Z"])?
            .as_str(),
        "",
    )?;
    expect_eq(place.kubectl(&["logs", "p", "--since=1h"])?.lines().count(), 3)?;
    let stamped = place.kubectl(&["logs", "p", "--tail=1", "--timestamps"])?;
    expect(stamped.ends_with("Z three\n"), || stamped.clone())?;
    let refused = place.try_kubectl(&["logs", "p", "--previous"])?;
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    expect(
        message.contains("previous terminated container \"c\" in pod \"p\" not found"),
        || message.clone(),
    )
}

pub(crate) fn attach(suite: &Suite) -> Result<(), Failure> {
    let place = suite.place("attach")?;
    let container = json!({"stdin": true, "stdinOnce": true});
    let script = "while read line; do echo got $line; done";
    place.apply(&[pod("p", script, &container, &json!({"restartPolicy": "Never"}))])?;
    place.until_ready("p")?;
    let mut command = place.command(&["attach", "-i", "p"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(b"it\n")?;
    let output = child.wait_with_output()?;
    expect_eq(String::from_utf8_lossy(&output.stdout).as_ref(), "got it\n")?;
    place.until_ended("p").map(drop)
}
