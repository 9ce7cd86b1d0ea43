//! The command line: what it prints, how it ends, and what it says of bad input.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use prefect_e2e_tests::{command, program, root, skip};
use rstest::rstest;

fn run(arguments: &[&str], directory: &Path) -> Output {
    command(directory)
        .args(arguments)
        .env("TMPDIR", directory)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let all = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // messages are folded to the width of the terminal
    all.split_whitespace()
        .filter(|word| *word != "│")
        .collect::<Vec<_>>()
        .join(" ")
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn the_scenarios_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&["list"], directory.path());
    assert!(output.status.success());
    let files = fs::read_dir(root().join("scenarios")).unwrap().count();
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), files);
}

#[rstest]
#[case(&["run", "sqlit"], &["no scenario is called \"sqlit\"", "did you mean sqlite"])]
#[case(&["run", "--label", "nothing"], &["no scenario has the label \"nothing\"", "database"])]
#[case(&["run", "nowhere/x.yaml"], &["cannot read nowhere/x.yaml"])]
#[case(&["run", "--scenarios", "crates"], &["crates holds no scenario"])]
#[case(&["run", "sqlite", "--patch", "nowhere.yaml"], &["cannot read the patch nowhere.yaml"])]
#[case(&["run", "sqlite", "--jobs", "many"], &["--jobs"])]
#[case(&["run", "sqlite", "--shard", "3/2"], &["3/2"])]
#[case(&["run", "sqlite", "--failed"], &["none of these scenarios failed"])]
#[case(&["run", "sqlite", "--pause-on-failure"], &["--pause-on-failure waits for Enter", "no terminal"])]
#[case(&["run", "sqlite", "--matrix", "kubernetes=1.33,1.34"], &["a run has one cluster", "--kubernetes-version"])]
#[case(&["run", "sqlite", "--matrix", "python=3.12"], &["the axis \"python\" is not known"])]
#[case(&["open", "background-services-old-tag"], &["there is nothing to open"])]
#[case(&["open", "sqlit"], &["did you mean sqlite"])]
#[case(&["open", "external-*"], &["names 2 scenarios"])]
#[case(&["watch", "sqlite", "--patch", "nowhere.yaml"], &["cannot watch", "nowhere.yaml"])]
#[case(&["nonsense"], &["nonsense"])]
fn bad_usage_is_refused(#[case] arguments: &[&str], #[case] parts: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    refused(&run(arguments, directory.path()), parts);
    let left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[rstest]
#[case("descripton: x\n", &["descripton", "description"])]
#[case("description: x\nvalues: {server: {replicaCont: 1}}\n", &["replicaCont", "replicaCount"])]
#[case("description: x\nvalues: {server: {replicaCount: many}}\n", &["replicaCount"])]
#[case("description: [\n", &["mine.yaml"])]
fn a_wrong_scenario_is_refused(#[case] scenario: &str, #[case] parts: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.yaml");
    fs::write(&path, scenario).unwrap();
    refused(&run(&["run", path.to_str().unwrap()], directory.path()), parts);
}

#[test]
fn a_refused_scenario_needs_no_cluster_and_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let junit = directory.path().join("junit.xml");
    let events = directory.path().join("events.ndjson");
    let arguments = [
        "run",
        "background-services-old-tag",
        "--junit",
        junit.to_str().unwrap(),
        "--events",
        events.to_str().unwrap(),
        "--target",
        "embedded",
    ];
    let output = run(&arguments, directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("1 passed, 0 failed, 0 skipped"),
        "{}",
        text(&output)
    );
    assert!(fs::read_to_string(junit).unwrap().contains("refused at render"));
    assert!(fs::read_to_string(events).unwrap().lines().count() > 5);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["cluster", "up", "--port", &port], directory.path());
    refused(
        &output,
        &[&format!("cannot listen on 127.0.0.1:{port}"), "in use"],
    );
}

#[test]
fn a_machine_without_python_is_told_how_to_get_it() {
    let directory = tempfile::tempdir().unwrap();
    let output = command(directory.path())
        .args(["run", "sqlite", "--target", "embedded", "--timeout", "20"])
        .env("XDG_CACHE_HOME", directory.path().join("cache"))
        .env("PATH", directory.path())
        .output()
        .unwrap();
    let text = text(&output);
    if text.contains("user namespaces") {
        skip(text);
        return;
    }
    assert!(text.contains("no python3 is on the PATH"), "{text}");
    assert!(text.contains("apt install python3"), "{text}");
    assert_eq!(output.status.code(), Some(2), "{text}");
}

#[test]
fn the_matrix_has_nothing_doubtful() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&["lint"], directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).starts_with("0 findings in"), "{}", text(&output));
}

#[test]
fn findings_are_told_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.yaml");
    fs::write(
        &path,
        "description: x\nvalues:\n  service:\n    port: 4200\nproves:\n  - backgroundServices\n",
    )
    .unwrap();
    let shown = path.to_str().unwrap();
    let plain = run(&["lint", shown], directory.path());
    assert_eq!(plain.status.code(), Some(1));
    for place in [
        ": schema-line: ",
        ":4:5: default-value: ",
        ":6:5: meaningless-proof: ",
    ] {
        assert!(
            text(&plain).contains(&format!("{shown}{place}")),
            "{}",
            text(&plain)
        );
    }
    let json = run(&["lint", shown, "--format", "json"], directory.path());
    let findings: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(findings[1]["rule"], "default-value");
    assert_eq!(findings[1]["position"], serde_json::json!([4, 5]));
    refused(
        &run(&["lint", "nowhere.yaml"], directory.path()),
        &["cannot read nowhere.yaml"],
    );
}

#[test]
fn values_become_a_scenario_that_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let values = directory.path().join("values.yaml");
    fs::write(&values, "postgresql: {enabled: false}\nsqlite: {enabled: true}\n").unwrap();
    let scenarios = directory.path().join("scenarios");
    let new = |name: &str, more: &[&str]| {
        let mut arguments = vec!["new", name, "--from", values.to_str().unwrap()];
        arguments.extend(["--scenarios", scenarios.to_str().unwrap()]);
        arguments.extend(more);
        run(&arguments, directory.path())
    };
    let output = new("mine", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("prefect-e2e run mine"),
        "{}",
        text(&output)
    );
    assert!(scenarios.join("scenario.schema.json").is_file());
    let linted = run(
        &["lint", "--scenarios", scenarios.to_str().unwrap()],
        directory.path(),
    );
    assert_eq!(linted.status.code(), Some(0), "{}", text(&linted));
    refused(&new("mine", &[]), &["mine.yaml is there already", "--force"]);
    assert_eq!(new("mine", &["--force"]).status.code(), Some(0));
    refused(&new("No.Name", &[]), &["is no name for a scenario"]);
    fs::write(&values, "server: {replicaCont: 1}\n").unwrap();
    refused(&new("other", &[]), &["values.yaml:1:10", "replicaCont"]);
}

#[test]
fn coverage_has_a_threshold() {
    let directory = tempfile::tempdir().unwrap();
    let enough = run(
        &["coverage", "--threshold", "20", "--format", "json"],
        directory.path(),
    );
    assert_eq!(enough.status.code(), Some(0), "{}", text(&enough));
    let report: serde_json::Value = serde_json::from_slice(&enough.stdout).unwrap();
    assert!(report["percent"].as_f64().unwrap() > 20.0);
    let less = run(&["coverage", "--threshold", "100%"], directory.path());
    assert_eq!(less.status.code(), Some(1), "{}", text(&less));
    assert!(text(&less).contains("less than 100 %"), "{}", text(&less));
    refused(
        &run(&["coverage", "--threshold", "101"], directory.path()),
        &["from 0 to 100"],
    );
}

#[rstest]
#[case("bash", "complete -o")]
#[case("zsh", "#compdef prefect-e2e")]
#[case("fish", "complete --keep-order")]
fn a_shell_completes_names_of_scenarios(#[case] shell: &str, #[case] part: &str) {
    let directory = tempfile::tempdir().unwrap();
    let script = run(&["completions", shell], directory.path());
    assert!(text(&script).contains(part), "{}", text(&script));
    let asked = Command::new(program())
        .args(["--", "prefect-e2e", "run", "external"])
        .current_dir(root())
        .env("PREFECT_E2E_COMPLETE", shell)
        .env("_CLAP_COMPLETE_INDEX", "2")
        .output()
        .unwrap();
    assert!(text(&asked).contains("external-postgres"), "{}", text(&asked));
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let page = run(&["man"], directory.path());
    assert!(text(&page).contains(".TH prefect-e2e 1"), "{}", text(&page));
    let pages = directory.path().join("man");
    assert!(
        run(
            &["man", "--output-dir", pages.to_str().unwrap()],
            directory.path()
        )
        .status
        .success()
    );
    let run_page = fs::read_to_string(pages.join("prefect-e2e-run.1")).unwrap();
    assert!(run_page.contains("timeout"), "{run_page}");
}

#[test]
fn settings_come_from_flags_the_environment_and_the_nearest_file() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    let file = directory.path().join("prefect-e2e.toml");
    fs::write(
        &file,
        "jobs = 3\ntimeout = 60\nretries = 1\n\n[reports]\njunit = \"out/junit.xml\"\n",
    )
    .unwrap();
    let config = |arguments: &[&str]| {
        Command::new(program())
            .arg("config")
            .args(arguments)
            .current_dir(&below)
            .env("PREFECT_E2E_TIMEOUT", "70")
            .env("PREFECT_E2E_RETRIES", "2")
            .env("PREFECT_E2E_KEEP_FAILED", "1")
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    };
    let shown = text(&config(&["--retries", "5"]));
    let junit = directory.path().join("out/junit.xml");
    for line in [
        format!("jobs 3 {}:1:1", file.display()),
        "timeout 70 PREFECT_E2E_TIMEOUT".to_owned(),
        "retries 5 command line".to_owned(),
        "target auto default".to_owned(),
        "keep-failed 1 PREFECT_E2E_KEEP_FAILED".to_owned(),
        "context – not set".to_owned(),
        format!("reports.junit {} {}:6:1", junit.display(), file.display()),
    ] {
        assert!(shown.contains(&line), "{line:?} is not in {shown:?}");
    }
    fs::write(&file, "jobs = 3\ntimeuot = 60\n").unwrap();
    refused(
        &config(&[]),
        &[
            "prefect-e2e.toml:2:1",
            "unknown setting `timeuot`",
            "did you mean `timeout`",
        ],
    );
}

#[test]
fn each_version_has_its_own_verdict_and_the_seed_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mine = directory.path().join("mine.yaml");
    // never asks for a pod: the values are refused for each version alike
    fs::write(
        &mine,
        "description: x\nvalues: {commonLabels: {a: \"{{ .Nothing }}\"}}\nexpect: ready\n",
    )
    .unwrap();
    let arguments = [
        "run",
        mine.to_str().unwrap(),
        "--target",
        "embedded",
        "--seed",
        "7",
        "--matrix",
        "prefect=3.2.7,3.6.9",
    ];
    let output = run(&arguments, directory.path());
    let told = text(&output);
    if told.contains("user namespaces") {
        skip(told);
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the order is that of --seed 7"), "{told}");
    for part in [
        "mine-3-2-7 FAILED",
        "mine-3-6-9 FAILED",
        "prefect-e2e run mine --matrix prefect=3.2.7",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}
