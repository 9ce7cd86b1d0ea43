//! No output of a run shows a password or an auth string: terminal, JUnit, events, HTML, GitHub's summary
//! and annotations, artifacts. A second run lets the pods print all that they know.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, ListParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use prefect_e2e_tests::{command, root, skip};
use rstest::rstest;

/// What the scenario basic-auth logs in with.
const PASSWORD: &str = "correct-horse";

/// Lets the server print its environment and end.
const TALKATIVE: &str = "
- target: {kind: Deployment, name: prefect-server}
  patch:
  - {op: replace, path: /spec/template/spec/containers/0/command, value: [sh, -c, 'env; exit 1']}
";

#[rstest]
#[case::proven(None, 0)]
#[case::failed_with_all_it_knows_in_its_log(Some(TALKATIVE), 1)]
fn no_output_shows_a_secret(#[case] patch: Option<&str>, #[case] code: i32) {
    let directory = tempfile::tempdir().unwrap();
    let outputs = directory.path().join("outputs");
    fs::create_dir(&outputs).unwrap();
    let mut run = start(directory.path(), &outputs, patch);
    let passwords = passwords_of_the_database(directory.path(), &mut run);
    let status = run.wait().unwrap();
    let terminal = fs::read_to_string(outputs.join("terminal")).unwrap();
    if status.code() == Some(2) {
        skip(terminal);
        return;
    }
    assert_eq!(status.code(), Some(code), "{terminal}");
    assert!(
        !passwords.is_empty(),
        "no password was seen in the cluster: {terminal}"
    );
    if patch.is_some() {
        assert!(terminal.contains("AUTH_STRING=[secret]"), "{terminal}");
    }
    for output in [
        "terminal",
        "junit.xml",
        "events.ndjson",
        "html/index.html",
        "summary.md",
    ] {
        assert!(outputs.join(output).is_file(), "{output}");
    }
    let secrets: Vec<String> = [PASSWORD.to_owned(), format!("admin:{PASSWORD}")]
        .into_iter()
        .chain(passwords)
        .collect();
    let leaks = leaks(&outputs, &secrets);
    assert!(leaks.is_empty(), "{leaks:#?}");
}

fn start(directory: &Path, outputs: &Path, patch: Option<&str>) -> Child {
    let mut command = command(directory);
    command.args([
        "run",
        "basic-auth",
        "external-postgres",
        "--target",
        "embedded",
        "--verbose",
    ]);
    for (flag, name) in [
        ("--junit", "junit.xml"),
        ("--events", "events.ndjson"),
        ("--html", "html"),
        ("--artifacts", "artifacts"),
    ] {
        command.arg(flag).arg(outputs.join(name));
    }
    if let Some(patch) = patch {
        let path = directory.join("patch.yaml");
        fs::write(&path, patch).unwrap();
        command.arg("--patch").arg(path);
    }
    let terminal = File::create(outputs.join("terminal")).unwrap();
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", outputs.join("summary.md"))
        .env("GITHUB_WORKSPACE", root())
        .stderr(terminal.try_clone().unwrap())
        .stdout(terminal)
        .spawn()
        .unwrap()
}

/// The passwords that the connection strings of the cluster hold, looked for until the run ends.
fn passwords_of_the_database(directory: &Path, run: &mut Child) -> BTreeSet<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut found = BTreeSet::new();
    while run.try_wait().unwrap().is_none() {
        if let Some(kubeconfig) = kubeconfig(&directory.join("state/prefect-e2e/runs")) {
            // the cluster may not be there yet, or no more
            found.extend(
                runtime
                    .block_on(connection_passwords(&kubeconfig))
                    .unwrap_or_default(),
            );
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    found
}

fn kubeconfig(runs: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(runs).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path().join("kubeconfig")));
    paths.into_iter().find(|path| path.is_file())
}

async fn connection_passwords(kubeconfig: &Path) -> Option<Vec<String>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).ok()?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.ok()?;
    let client = Client::try_from(config).ok()?;
    let resource = ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: "Secret".into(),
        plural: "secrets".into(),
    };
    let secrets: Api<DynamicObject> = Api::all_with(client, &resource);
    let list = secrets.list(&ListParams::default()).await.ok()?;
    let strings = list.items.iter().filter_map(|secret| {
        let encoded = secret.data["data"]["connection-string"].as_str()?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    });
    let passwords = strings.filter_map(|string| {
        let (credentials, _) = string.split_once("://")?.1.split_once('@')?;
        Some(credentials.split_once(':')?.1.to_owned())
    });
    Some(passwords.collect())
}

/// Files below `directory` that show one of `secrets`, as it is or encoded.
fn leaks(directory: &Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(directory) {
        let content = fs::read(&path).unwrap();
        for secret in secrets {
            let shown = forms(secret).into_iter().find(|form| {
                content
                    .windows(form.len())
                    .any(|window| window == form.as_bytes())
            });
            found.extend(shown.map(|form| format!("{} shows {form}", path.display())));
        }
    }
    found
}

fn forms(secret: &str) -> Vec<String> {
    vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        secret.replace(':', "%3A").replace('-', "%2D"),
    ]
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

#[rstest]
#[case("admin:correct-horse")]
#[case("the password is correct-horse, is it not")]
#[case("Basic YWRtaW46Y29ycmVjdC1ob3JzZQ==")]
#[case("?auth=admin%3Acorrect%2Dhorse")]
fn what_leaks_is_found(#[case] text: &str) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("html")).unwrap();
    fs::write(directory.path().join("html/index.html"), text).unwrap();
    fs::write(directory.path().join("terminal"), "[secret]").unwrap();
    let secrets = [PASSWORD.to_owned(), format!("admin:{PASSWORD}")];
    assert!(!leaks(directory.path(), &secrets).is_empty());
}
