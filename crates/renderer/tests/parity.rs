//! Compares the renderer with the real chart's output, where the cases are at hand.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use jsonschema::Validator;
use prefect_e2e_renderer::{Layers, Object, Release, render, values_schema};
use serde_json::Value;

/// A case: what helm was given, and what it said.
struct Case {
    name: String,
    release: Release,
    text: String,
    expressions: Vec<String>,
    outcome: Result<Vec<Value>, String>,
}

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/parity/cases");
    let Ok(entries) = fs::read_dir(&directory) else {
        let _ = writeln!(std::io::stderr(), "skipped: {} is not there", directory.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

impl Case {
    fn read(path: &Path) -> Self {
        let json = |name: &str| -> Value {
            let text = fs::read_to_string(path.join(name)).expect("a file");
            serde_json::from_str(&text).expect("JSON")
        };
        let case = json("case.json");
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let mut release = Release::new(text("release"), text("namespace"));
        release.kube_version = text("kubeVersion").parse().expect("a version");
        Self {
            name: text("name"),
            release,
            text: fs::read_to_string(path.join("values.yaml")).expect("values"),
            expressions: case["set"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| one.as_str().expect("a text").to_owned())
                .collect(),
            outcome: match case["error"].as_str() {
                Some(error) => Err(error.to_owned()),
                None => Ok(json("expected.json").as_array().expect("a list").clone()),
            },
        }
    }

    fn layers(&self) -> Layers {
        let mut layers = Layers::default();
        layers.file("values.yaml", &self.text).expect("YAML");
        for expression in &self.expressions {
            layers.set(expression).expect("an expression");
        }
        layers
    }

    fn render(&self) -> Result<Vec<Value>, String> {
        let values = self.layers().values().map_err(|error| error.to_string())?;
        let objects = render(&self.release, &values).map_err(|error| error.to_string())?;
        Ok(objects.into_iter().map(Object::into_json).collect())
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                kept.map(|(key, value)| (key.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn sorted(objects: &[Value]) -> Vec<Value> {
    let mut objects: Vec<Value> = objects.iter().map(without_nulls).collect();
    let text = |object: &Value, pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    objects.sort_by_key(|object| {
        (
            text(object, "/kind"),
            text(object, "/metadata/namespace"),
            text(object, "/metadata/name"),
        )
    });
    objects
}

#[test]
fn objects_are_those_of_the_chart() {
    for case in cases() {
        match (&case.outcome, case.render()) {
            (Ok(expected), Ok(rendered)) => {
                let (expected, rendered) = (sorted(expected), sorted(&rendered));
                for (rendered, expected) in rendered.iter().zip(&expected) {
                    assert_eq!(rendered, expected, "{}", case.name);
                }
                assert_eq!(rendered.len(), expected.len(), "{}", case.name);
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => panic!("{}: {error}", case.name),
            (Err(error), Ok(_)) => panic!("{}: accepted, but the chart says {error}", case.name),
        }
    }
}

#[test]
fn refusals_name_what_the_chart_names() {
    for case in cases() {
        let (Err(chart), Err(own)) = (&case.outcome, case.render()) else {
            continue;
        };
        // `at '/server/env': …` and `.Values.secret.host is required.` both name a key; so do we
        let pointed = chart
            .split("at '/")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        let required = chart
            .split(".Values.")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let key = pointed
            .map(|path| path.replace('/', "."))
            .or(required.map(str::to_owned));
        let named = key.unwrap_or_else(|| "prefect".to_owned());
        assert!(
            own.contains(&named),
            "{}: {own:?} does not name {named}",
            case.name
        );
    }
}

#[test]
fn the_schema_takes_good_values_and_refuses_bad_ones() {
    let validator = Validator::new(values_schema()).expect("a schema");
    for case in cases() {
        let layers = case.layers();
        let valid = validator.is_valid(layers.user_values());
        match &case.outcome {
            Ok(_) => assert!(valid, "{}", case.name),
            Err(error) if error.contains("has been removed") || error.contains("schema(s)") => {
                assert!(!valid, "{}", case.name);
            }
            // what only the templates can tell
            Err(_) => {}
        }
    }
}
