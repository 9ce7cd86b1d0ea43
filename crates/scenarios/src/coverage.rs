//! Which of the chart's values the scenarios set, and which have an effect on any object.

use std::collections::{BTreeMap, BTreeSet};

use prefect_e2e_renderer::{Layers, Object, Release, Row, render, values_rows};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    format::{Expectation, Scenario},
    placeholder::{Placeholders, PostgresAccess},
};

/// What is known of one key of the chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyCoverage {
    /// The key, with dots.
    pub key: String,
    /// Its default, as JSON.
    pub default: String,
    /// The scenarios that set it to something else.
    pub set_by: Vec<String>,
    /// The kinds of objects that change with it; empty when no change of it changed an object.
    pub reaches: BTreeSet<String>,
}

/// What is known of every key of the chart's table.
///
/// A key's reach is found by rendering it changed, over deployments that have each part of the chart and
/// over the scenarios' values, until a change of the key changes an object.
#[must_use]
pub fn coverage(scenarios: &[Scenario]) -> Vec<KeyCoverage> {
    let ground = bases(scenarios);
    values_rows()
        .iter()
        .map(|row| KeyCoverage {
            key: row.key.clone(),
            default: row.default.clone(),
            set_by: set_by(scenarios, row),
            reaches: reach(row, &ground),
        })
        .collect()
}

fn set_by(scenarios: &[Scenario], row: &Row) -> Vec<String> {
    let default: Value = serde_json::from_str(&row.default).unwrap_or_default();
    let sets = |values: &Map<String, Value>| {
        let mut steps = row.key.split('.');
        let first = steps.next().and_then(|step| values.get(step));
        let value = steps.fold(first, |value, step| value?.get(step));
        value.is_some_and(|value| *value != default)
    };
    let setting = scenarios.iter().filter(|scenario| {
        sets(&scenario.file.values) || scenario.file.upgrades.iter().any(|one| sets(&one.values))
    });
    setting.map(|scenario| scenario.name.clone()).collect()
}

/// Values that can be rendered, and the objects that they become.
struct Base {
    layers: Layers,
    objects: Vec<Object>,
}

impl Base {
    fn new(layers: Layers) -> Option<Self> {
        let objects = objects(&layers)?;
        Some(Self { layers, objects })
    }

    /// The kinds of the objects that `key` changes when it has `value`; `None` when the chart refuses it.
    fn changed_by(&self, key: &str, value: &Value) -> Option<BTreeSet<String>> {
        let mut layers = self.layers.clone();
        layers.value("a change", nested(key, value.clone())).ok()?;
        Some(changed(&self.objects, &objects(&layers)?))
    }
}

/// What there is to change: deployments in which each part of the chart is there, then the scenarios.
fn bases(scenarios: &[Scenario]) -> Vec<Base> {
    let probes = json!({"livenessProbe": {"enabled": true}, "readinessProbe": {"enabled": true}});
    let mut services = probes.clone();
    services["runAsSeparateDeployment"] = true.into();
    let external = json!({"host": "h", "port": "5432", "username": "u", "password": "p", "database": "d"});
    let parts = [
        json!({}),
        json!({"server": probes}),
        json!({"global": {"prefect": {"image": {"prefectTag": "3.6.9"}}}, "backgroundServices": services}),
        json!({"server": {"autoscaling": {"enabled": true}}}),
        json!({"server": {"basicAuth": {"enabled": true}}}),
        json!({"postgresql": {"enabled": false}, "secret": external}),
        json!({"postgresql": {"enabled": false}, "sqlite": {"enabled": true}}),
        json!({"ingress": {"enabled": true}}),
        json!({"ingress": {"enabled": true, "tls": true, "selfSigned": true}}),
        json!({"postgresql": {"auth": {"enablePostgresUser": true, "postgresPassword": "p"}}}),
        json!({"service": {"type": "NodePort"}}),
        json!({"service": {"type": "LoadBalancer"}}),
    ];
    let placeholders = Placeholders::of_postgres(&PostgresAccess::stand_in());
    let of_scenarios = scenarios
        .iter()
        .filter(|scenario| !matches!(scenario.file.expect, Expectation::Refused(_)))
        .filter_map(|scenario| Some(placeholders.fill_values(&scenario.file.values).ok()?.into()));
    let layers = parts.into_iter().chain(of_scenarios).filter_map(|values: Value| {
        let mut layers = Layers::default();
        layers.value("a base", values).ok()?;
        Some(layers)
    });
    layers.filter_map(Base::new).collect()
}

/// The kinds of objects that a key reaches.
fn reach(row: &Row, ground: &[Base]) -> BTreeSet<String> {
    let mut values = other_values(row);
    values.retain(|value| is_taken(&row.key, value));
    let changes = ground
        .iter()
        .flat_map(|base| values.iter().map(move |value| base.changed_by(&row.key, value)));
    changes
        .flatten()
        .find(|changed| !changed.is_empty())
        .unwrap_or_default()
}

/// Whether the value is of a type that the chart takes.
fn is_taken(key: &str, value: &Value) -> bool {
    let mut layers = Layers::default();
    layers.value("a change", nested(key, value.clone())).is_ok() && layers.values().is_ok()
}

/// Values that the key may take, of which the chart refuses those of a wrong type.
fn other_values(row: &Row) -> Vec<Value> {
    let word = "coverage";
    let texts = [
        word,
        "/coverage",
        "123Mi",
        "123",
        "INFO",
        "NodePort",
        "Local",
        "Always",
    ];
    match row.kind {
        "bool" => vec![json!(true), json!(false)],
        "int" => vec![json!(123)],
        "list" => vec![
            json!([{"name": word, "value": word, "key": word, "path": "/coverage", "hosts": [word]}]),
            json!([{"name": word, "value": word}]),
            json!([{"name": word, "port": 123, "targetPort": 123}]),
            json!([word]),
        ],
        "object" => vec![
            json!({word: word}),
            json!({"cpu": "123m"}),
            json!({"drop": ["ALL"]}),
            json!({"type": "Unconfined"}),
        ],
        _ => texts.map(Value::from).to_vec(),
    }
}

fn objects(layers: &Layers) -> Option<Vec<Object>> {
    render(
        &Release::new("prefect-server", "coverage"),
        &layers.values().ok()?,
    )
    .ok()
}

fn nested(key: &str, value: Value) -> Value {
    key.rsplit('.').fold(value, |inner, step| json!({step: inner}))
}

/// The kinds of what is in one list alone, or differs.
fn changed(before: &[Object], after: &[Object]) -> BTreeSet<String> {
    let by_name = |objects: &[Object]| -> BTreeMap<(String, String), Value> {
        let entry = |object: &Object| {
            let identity = (object.kind().to_owned(), object.name().to_owned());
            (identity, object.json().clone())
        };
        objects.iter().map(entry).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let identities: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    identities
        .into_iter()
        .filter(|identity| before.get(*identity) != after.get(*identity))
        .map(|(kind, _)| kind.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(key: &str, all: &'a [KeyCoverage]) -> &'a KeyCoverage {
        all.iter().find(|one| one.key == key).unwrap()
    }

    #[test]
    fn what_is_set_and_what_it_reaches_is_told() {
        let text = "description: x\nvalues: {server: {debug: true, loggingLevel: WARNING}}\n";
        let scenarios = [crate::parse("one", "one.yaml", text).unwrap()];
        let all = coverage(&scenarios);
        assert_eq!(of("server.debug", &all).set_by, ["one"]);
        // it is the default
        assert!(of("server.loggingLevel", &all).set_by.is_empty());
        let reach = |key| {
            of(key, &all)
                .reaches
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
        };
        assert_eq!(reach("server.debug"), ["Deployment"]);
        assert_eq!(reach("service.targetPort"), ["Deployment", "Service"]);
        // has an effect on an Ingress alone, which is off by default
        assert_eq!(reach("ingress.className"), ["Ingress"]);
        assert_eq!(reach("service.nodePort"), ["Service"]);
        let without = all.iter().filter(|one| one.reaches.is_empty());
        let without: Vec<&str> = without.map(|one| one.key.as_str()).collect();
        insta::assert_snapshot!(without.join("\n"));
    }

    #[test]
    fn nothing_changed_is_no_reach() {
        let layers = Layers::default();
        let base = Base::new(layers).unwrap();
        assert!(base.changed_by("server.debug", &json!(false)).unwrap().is_empty());
        assert!(base.changed_by("server.debug", &json!("many")).is_none());
    }
}
