//! `--chart`: a chart's working tree, rendered by the real helm, in the place of the renderer.
//! The target is `PREFECT_E2E_TARGET`'s, by default the embedded cluster.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use prefect_e2e_tests::{command, root, skip};
use rstest::rstest;
use serde_json::Value;

const API_HOST: &str = "PREFECT_SERVER_API_HOST";

fn has_helm() -> bool {
    let helm = std::env::var_os("PREFECT_E2E_HELM").unwrap_or_else(|| "helm".into());
    let found = Command::new(helm)
        .args(["version", "--short"])
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        skip("no helm; `go install helm.sh/helm/v3/cmd/helm@v3.18.6` installs it");
    }
    found
}

/// A chart of the objects that the scenario's values become, without the variable `left_out`.
fn write_chart(directory: &Path, left_out: Option<&str>) {
    let sqlite = prefect_e2e_scenarios::load(&root().join("scenarios/sqlite.yaml")).unwrap();
    let values = directory.join("values.yaml");
    fs::write(&values, serde_json::to_string(&sqlite.file.values).unwrap()).unwrap();
    let rendered = command(directory)
        .args(["render", "prefect-server", "--namespace", "elsewhere", "-f"])
        .arg(&values)
        .output()
        .unwrap();
    assert!(rendered.status.success());
    let mut objects: Vec<Value> =
        serde_saphyr::from_multiple(&String::from_utf8(rendered.stdout).unwrap()).unwrap();
    let variables = objects
        .iter_mut()
        .find_map(|object| object.pointer_mut("/spec/template/spec/containers/0/env"))
        .and_then(Value::as_array_mut)
        .unwrap();
    assert!(variables.iter().any(|variable| variable["name"] == API_HOST));
    variables.retain(|variable| left_out.is_none_or(|name| variable["name"] != name));
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    let template = documents
        .join("\n---\n")
        .replace("elsewhere", "{{ .Release.Namespace }}");
    fs::create_dir_all(directory.join("chart/templates")).unwrap();
    let about = "apiVersion: v2\nname: prefect-server\nversion: 0.0.1\n";
    fs::write(directory.join("chart/Chart.yaml"), about).unwrap();
    fs::write(directory.join("chart/templates/all.yaml"), template).unwrap();
}

fn run_sqlite_with_chart(directory: &Path) -> Output {
    command(directory)
        .args(["run", "sqlite", "--chart"])
        .arg(directory.join("chart"))
        .output()
        .unwrap()
}

#[rstest]
#[case::whole(None, "sqlite PASSED")]
#[case::without_the_api_host(
    Some(API_HOST),
    "the server answers a port-forward but not its Service: it listens on the pod's loopback alone \
     (PREFECT_SERVER_API_HOST is not 0.0.0.0)"
)]
fn a_working_tree_is_proven(#[case] left_out: Option<&str>, #[case] told: &str) {
    if !has_helm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    write_chart(directory.path(), left_out);
    let output = run_sqlite_with_chart(directory.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = printed.split_whitespace().collect();
    assert!(words.join(" ").contains(told), "{printed}");
    assert_eq!(output.status.code(), Some(i32::from(left_out.is_some())));
}
