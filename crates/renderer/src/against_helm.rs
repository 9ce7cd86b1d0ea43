//! Tests that ask the real helm, where it is installed: in PATH, or where `go install` puts it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{
    Layers, go_yaml,
    layers::fill,
    set_expression::{self, Mode},
    template::{Context, evaluate, tests::EXPRESSIONS},
};

/// A chart of one template, and the helm that renders it.
struct Chart {
    helm: PathBuf,
    directory: TempDir,
}

impl Chart {
    fn new(template: &str) -> Option<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let helm = std::env::split_paths(&path)
            .chain([home.join("go/bin")])
            .map(|directory| directory.join("helm"))
            .find(|program| program.is_file());
        let Some(helm) = helm else {
            let _ = writeln!(std::io::stderr(), "skipped: helm is not installed");
            return None;
        };
        let chart = Self {
            helm,
            directory: tempfile::tempdir().expect("a directory"),
        };
        chart.write(
            "Chart.yaml",
            "{apiVersion: v2, name: prefect-server, version: 0.0.0, appVersion: 3-latest}",
        );
        chart.write("templates/output.yaml", template);
        Some(chart)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }

    /// What the template prints, or nothing when helm refuses.
    fn render(&self, arguments: &[String]) -> Option<String> {
        let output = Command::new(&self.helm)
            .args(["template", "team-a"])
            .arg(self.directory.path())
            .args(["--namespace", "data", "--kube-version", "1.34.0"])
            .args(arguments)
            .output()
            .expect("helm runs");
        let text = String::from_utf8(output.stdout).expect("helm prints UTF-8");
        let body: Vec<&str> = text
            .lines()
            .filter(|line| *line != "---" && !line.starts_with("# Source:"))
            .collect();
        output.status.success().then(|| body.join("\n"))
    }

    fn values(&self, arguments: &[String]) -> Option<Value> {
        self.render(arguments)
            .map(|text| serde_json::from_str(text.trim_start_matches("x: ")).expect("helm prints JSON"))
    }
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        "[a-z ]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-d]", inner), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn json_maps() -> impl Strategy<Value = Map<String, Value>> {
    vec(("[a-d]", json_values()), 0..4).prop_map(|entries| entries.into_iter().collect())
}

const SETTINGS: fn() -> ProptestConfig = || ProptestConfig {
    cases: 24,
    failure_persistence: None,
    ..ProptestConfig::default()
};

#[test]
fn expressions_are_applied_as_helm_applies_them() {
    let Some(chart) = Chart::new("x: {{ .Values | toJson }}") else {
        return;
    };
    const PIECES: &[&str] = &[
        "a", "b", "c", ".", ".", "=", "=", "=", ",", "[0]", "[1]", "[2]", "{", "}", "\\", "1", "true",
        "null", " ", "{x,2}",
    ];
    let strategy = (vec(vec(select(PIECES), 1..9), 1..3), any::<bool>());
    proptest!(SETTINGS(), |((expressions, typed) in strategy)| {
        let mode = if typed { Mode::Typed } else { Mode::Text };
        let expressions: Vec<String> = expressions.into_iter().map(|pieces| pieces.concat()).collect();
        let mut values = json!({});
        let outcome = expressions.iter().try_for_each(|one| set_expression::apply(&mut values, one, mode));
        let arguments: Vec<String> = expressions.iter().map(|one| format!("{}={one}", mode.flag())).collect();
        let helm = chart.values(&arguments);
        prop_assert_eq!(outcome.is_ok(), helm.is_some(), "{:?}: {:?}", arguments, outcome);
        if let Some(helm) = helm {
            prop_assert_eq!(values, helm, "{:?}", arguments);
        }
    });
}

#[test]
fn files_are_merged_as_helm_merges_them() {
    let Some(chart) = Chart::new("x: {{ .Values | toJson }}") else {
        return;
    };
    proptest!(SETTINGS(), |(defaults in json_maps(), files in vec(json_maps(), 1..4))| {
        let defaults = without_nulls(&defaults);
        chart.write("values.yaml", &json!(defaults).to_string());
        let mut layers = Layers::default();
        let mut arguments = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let text = json!(file).to_string();
            let path = chart.write(&format!("{index}.yaml"), &text);
            layers.file(&path.display().to_string(), &text).expect("a layer");
            arguments.extend(["-f".to_owned(), path.display().to_string()]);
        }
        let mut merged = layers.user_values().as_object().expect("a map").clone();
        fill(&mut merged, &defaults);
        prop_assert_eq!(Some(Value::Object(merged)), chart.values(&arguments), "{} {:?}", json!(defaults), files);
    });
}

/// The defaults of a chart have no nulls.
fn without_nulls(map: &Map<String, Value>) -> Map<String, Value> {
    let kept = map.iter().filter(|(_, value)| !value.is_null());
    kept.map(|(key, value)| match value {
        Value::Object(inner) => (key.clone(), Value::Object(without_nulls(inner))),
        other => (key.clone(), other.clone()),
    })
    .collect()
}

#[test]
fn yaml_is_written_as_helm_writes_it() {
    let Some(chart) = Chart::new("x: {{ toYaml .Values.v | toJson }}") else {
        return;
    };
    let texts = prop_oneof![
        "[ a-z:#'\"{}\\-,&*!|>%@`?~=0-9.\\\\\n]{0,12}",
        "([a-z]{1,12}[ ]{1,2}){8,16}",
        "[0-9._:+\\-eExobT ]{1,10}",
        "\\PC{0,8}",
    ];
    proptest!(SETTINGS(), |(list in vec(texts.clone(), 1..12), keys in vec("[a-c0-9.\\-_ ]{1,6}", 1..6))| {
        let map: Map<String, Value> = keys.into_iter().map(|key| (key, json!(1))).collect();
        let value = json!({"list": list, "map": map, "nested": {"list": [list, [map]]}});
        let path = chart.write("v.yaml", &json!({"v": value}).to_string());
        let helm = chart.values(&["-f".to_owned(), path.display().to_string()]);
        prop_assert_eq!(Some(json!(go_yaml::to_yaml(&value))), helm);
    });
}

#[test]
fn templates_are_evaluated_as_helm_evaluates_them() {
    let Some(chart) = Chart::new(
        "{{ range $i, $x := .Values.expressions }}x{{ $i }}: {{ tpl $x $ | toJson }}
{{ end }}",
    ) else {
        return;
    };
    let path = chart.write("v.yaml", &json!({"expressions": EXPRESSIONS}).to_string());
    chart.write("values.yaml", &crate::template::tests::values().to_string());
    let helm = chart
        .render(&["-f".to_owned(), path.display().to_string()])
        .expect("helm takes all of them");
    let context = Context::new(&crate::template::tests::context());
    for (source, line) in EXPRESSIONS
        .iter()
        .zip(helm.lines().filter(|line| !line.is_empty()))
    {
        let json = line.split_once(": ").expect("a key").1;
        let expected: String = serde_json::from_str(json).expect("helm prints JSON");
        let outcome = evaluate(source, &context);
        assert_eq!(outcome.as_deref(), Ok(expected.as_str()), "{source}");
    }
}

#[test]
fn helm_is_found_where_it_is() {
    if let Some(chart) = Chart::new("a: {{ .Release.Name }}") {
        assert!(Path::new(&chart.helm).is_file());
        assert_eq!(chart.render(&[]).as_deref(), Some("a: team-a"));
    }
}
