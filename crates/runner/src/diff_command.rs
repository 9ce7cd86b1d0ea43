//! `prefect-e2e diff`: where the renderer and a chart part.

use std::collections::BTreeSet;

use clap::Args;
use console::style;
use miette::IntoDiagnostic as _;
use prefect_e2e_renderer::{Object, render};
use serde_json::Value;

use crate::{exit_code, helm::Chart, release_args::ReleaseArgs, stdout::print, values_args::ValuesArgs};

/// What to compare. Exits with 1 when there are differences.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct DiffCommand {
    #[command(flatten)]
    release: ReleaseArgs,
    #[command(flatten)]
    values: ValuesArgs,
    /// The chart, rendered by helm: a directory, an archive, repository/name or oci://…
    #[arg(long, value_name = "PATH")]
    chart: String,
    /// Version of the chart
    #[arg(long = "version", value_name = "VERSION")]
    chart_version: Option<String>,
}

impl DiffCommand {
    pub(crate) fn run(self) -> miette::Result<u8> {
        let release = self.release.release();
        let values = self.values.layers()?.values().into_diagnostic()?;
        let rendered = render(&release, &values).into_diagnostic()?;
        let chart = Chart {
            reference: self.chart.clone(),
            version: self.chart_version.clone(),
        };
        let differences = compare(&rendered, &chart.template(&release, &self.values)?);
        print(&describe(&differences))?;
        if differences.is_empty() {
            eprintln!(
                "the renderer and {} agree on {} objects",
                self.chart,
                rendered.len()
            );
            return Ok(exit_code::PASSED);
        }
        eprintln!("{} differences", differences.len());
        Ok(exit_code::FAILED)
    }
}

/// The differences for people, coloured where the terminal has colours.
fn describe(differences: &[Difference]) -> String {
    let side = |value: &Option<Value>| value.as_ref().map_or("absent".to_owned(), Value::to_string);
    let mut text = String::new();
    let mut last = "";
    for difference in differences {
        if difference.object != last {
            text.push_str(&format!("{}\n", style(&difference.object).bold()));
            last = &difference.object;
        }
        let renderer = style(format!("- renderer: {}", side(&difference.renderer))).red();
        let chart = style(format!("+ chart:    {}", side(&difference.chart))).green();
        text.push_str(&format!("  {}\n    {renderer}\n    {chart}\n", difference.path));
    }
    text
}

/// A place at which the two disagree.
#[derive(Debug, PartialEq)]
struct Difference {
    object: String,
    path: String,
    renderer: Option<Value>,
    chart: Option<Value>,
}

/// The differences, object by object; null and absent are the same.
fn compare(rendered: &[Object], chart: &[Object]) -> Vec<Difference> {
    let identity = |object: &Object| {
        format!(
            "{} {}/{}",
            object.kind(),
            object.namespace().unwrap_or_default(),
            object.name()
        )
    };
    let find = |objects: &[Object], wanted: &str| {
        objects
            .iter()
            .find(|object| identity(object) == wanted)
            .map(|object| without_nulls(object.json()))
    };
    let all: BTreeSet<String> = rendered.iter().chain(chart).map(identity).collect();
    let mut differences = Vec::new();
    for object in all {
        let sides = (find(rendered, &object), find(chart, &object));
        compare_values(&object, "", sides.0.as_ref(), sides.1.as_ref(), &mut differences);
    }
    differences
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

fn compare_values(
    object: &str,
    path: &str,
    renderer: Option<&Value>,
    chart: Option<&Value>,
    differences: &mut Vec<Difference>,
) {
    if renderer == chart {
        return;
    }
    match (renderer, chart) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare_values(object, &path, left.get(key), right.get(key), differences);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                let path = format!("{path}[{index}]");
                compare_values(object, &path, left.get(index), right.get(index), differences);
            }
        }
        _ => differences.push(Difference {
            object: object.to_owned(),
            path: if path.is_empty() {
                "the whole object".to_owned()
            } else {
                path.to_owned()
            },
            renderer: renderer.cloned(),
            chart: chart.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value) -> Object {
        Object::new(json!({"kind": "Service", "metadata": {"name": "web", "namespace": "n"}, "spec": spec}))
    }

    #[test]
    fn nulls_count_as_absent() {
        let with_null = object(&json!({"a": 1, "b": null}));
        assert_eq!(compare(&[with_null], &[object(&json!({"a": 1}))]), []);
    }

    #[test]
    fn differences_name_their_place() {
        let left = object(&json!({"ports": [{"port": 1}], "type": "A"}));
        let right = object(&json!({"ports": [{"port": 2}, {"port": 3}], "type": "A"}));
        let found = compare(&[left], &[right]);
        let places: Vec<_> = found
            .iter()
            .map(|one| (one.object.as_str(), one.path.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                ("Service n/web", "spec.ports[0].port"),
                ("Service n/web", "spec.ports[1]")
            ]
        );
        assert_eq!(found[0].renderer, Some(json!(1)));
        assert_eq!(found[1].renderer, None);
    }

    #[test]
    fn an_object_of_one_side_is_one_difference() {
        let found = compare(&[object(&json!({}))], &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "the whole object");
    }
}
