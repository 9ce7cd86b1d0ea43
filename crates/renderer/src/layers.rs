//! Layers of values, as helm lays them: the chart's defaults, files in order, then expressions.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::{
    check,
    error::{Place, ValuesError},
    set_expression::{self, Mode},
    values::{Postgresql, Values},
    yaml,
};

/// Values being put together. A map is merged into the map below it, a list replaces the list below,
/// `null` deletes a default.
///
/// ```
/// use prefect_e2e_renderer::Layers;
///
/// let mut layers = Layers::default();
/// layers.file("ci.yaml", "server:\n  replicaCount: 2\n")?;
/// layers.set("server.podLabels.team=data")?;
/// let values = layers.values()?;
/// assert_eq!(values.server.replica_count, Some(2));
/// assert_eq!(values.server.pod_labels["team"], "data");
/// # Ok::<(), prefect_e2e_renderer::ValuesError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Layers {
    merged: Value,
    sources: Vec<Source>,
}

/// A layer, kept to say where a value came from.
#[derive(Debug, Clone)]
struct Source {
    origin: String,
    text: Option<String>,
    value: Value,
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            merged: Value::Object(Map::new()),
            sources: Vec::new(),
        }
    }
}

impl Layers {
    /// Lays the text of a values file on top. An empty text changes nothing.
    ///
    /// # Errors
    /// When the text is not YAML or not a mapping; `origin`, the file's path, is named.
    pub fn file(&mut self, origin: &str, text: &str) -> Result<(), ValuesError> {
        let value = yaml::read(text).map_err(|source| ValuesError::Yaml {
            place: Place {
                origin: origin.to_owned(),
                position: source.position(),
            },
            source,
        })?;
        self.lay(origin, Some(text), value)
    }

    /// Lays values that a program made on top.
    ///
    /// # Errors
    /// When the value is neither a map nor null.
    pub fn value(&mut self, origin: &str, value: Value) -> Result<(), ValuesError> {
        self.lay(origin, None, value)
    }

    /// `--set`: `key=value` pairs with helm's rules for paths, lists, escapes and types.
    ///
    /// # Errors
    /// When the expression cannot be read.
    pub fn set(&mut self, expression: &str) -> Result<(), ValuesError> {
        self.express(expression, Mode::Typed)
    }

    /// `--set-string`: as `--set`, with all values as text.
    ///
    /// # Errors
    /// When the expression cannot be read.
    pub fn set_string(&mut self, expression: &str) -> Result<(), ValuesError> {
        self.express(expression, Mode::Text)
    }

    /// `--set-json`: `key=JSON` pairs, or a whole JSON object.
    ///
    /// # Errors
    /// When the expression cannot be read.
    pub fn set_json(&mut self, expression: &str) -> Result<(), ValuesError> {
        if expression.trim_start().starts_with('{') {
            let value = serde_json::from_str(expression).map_err(|error| ValuesError::Expression {
                expression: expression.to_owned(),
                column: error.column().max(1),
                problem: "not a JSON object".to_owned(),
            })?;
            return self.lay(&format!("--set-json '{expression}'"), None, value);
        }
        self.express(expression, Mode::Json)
    }

    /// `--set-file`: the path of a key, and the content of the file that becomes its text.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn set_file(&mut self, key: &str, content: &str) -> Result<(), ValuesError> {
        let before = self.merged.clone();
        set_expression::apply_text(&mut self.merged, key, content)?;
        self.remember(format!("--set-file {key}"), &before);
        Ok(())
    }

    /// The layers merged, without the chart's defaults.
    #[must_use]
    pub fn user_values(&self) -> &Value {
        &self.merged
    }

    /// The chart's defaults with the layers on top.
    ///
    /// # Errors
    /// When a key is unknown, removed or not implemented, or a value has a wrong type.
    pub fn values(&self) -> Result<Values, ValuesError> {
        let mut user = self.merged.clone();
        check::check(&mut user, &|path| self.place(path))?;
        let complete = over_defaults(user);
        let values = Values::deserialize_complete(complete).map_err(|(path, problem)| {
            let place = self.place(&path);
            let key = path.join(".");
            if problem.starts_with("missing field") {
                return ValuesError::Missing {
                    place,
                    key,
                    reason: "the chart reads it and its default was deleted",
                };
            }
            ValuesError::NotAllowed {
                place,
                key,
                found: problem,
                allowed: "what `prefect-e2e schema values` says".to_owned(),
            }
        })?;
        check::check_complete(&values, &|path| self.place(path))?;
        Ok(values)
    }

    fn lay(&mut self, origin: &str, text: Option<&str>, value: Value) -> Result<(), ValuesError> {
        let value = match value {
            Value::Null => Value::Object(Map::new()),
            Value::Object(_) => value,
            other => {
                return Err(ValuesError::NoMapping {
                    place: Place {
                        origin: origin.to_owned(),
                        position: text.and_then(|text| yaml::locate(text, &[])),
                    },
                    found: check::describe(&other, false),
                });
            }
        };
        merge(&mut self.merged, &value);
        self.sources.push(Source {
            origin: origin.to_owned(),
            text: text.map(str::to_owned),
            value,
        });
        Ok(())
    }

    fn express(&mut self, expression: &str, mode: Mode) -> Result<(), ValuesError> {
        let before = self.merged.clone();
        set_expression::apply(&mut self.merged, expression, mode)?;
        self.remember(format!("{} {expression}", mode.flag()), &before);
        Ok(())
    }

    /// Keeps what an expression changed as a layer of its own.
    fn remember(&mut self, origin: String, before: &Value) {
        let value = difference(before, &self.merged).unwrap_or(Value::Null);
        self.sources.push(Source {
            origin,
            text: None,
            value,
        });
    }

    /// The topmost layer that has the path, or as much of it as any layer has.
    fn place(&self, path: &[String]) -> Place {
        for length in (0..=path.len()).rev() {
            let found = self
                .sources
                .iter()
                .rev()
                .find(|source| lookup(&source.value, &path[..length]).is_some());
            if let Some(source) = found {
                let position = source
                    .text
                    .as_deref()
                    .and_then(|text| yaml::locate(text, &path[..length]));
                return Place {
                    origin: source.origin.clone(),
                    position,
                };
            }
        }
        Place {
            origin: "values".to_owned(),
            position: None,
        }
    }
}

fn lookup<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The parts of `after` that `before` does not have. Lists count as a whole.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let changed: Map<String, Value> = after
                .iter()
                .filter_map(|(key, value)| match before.get(key) {
                    Some(old) => difference(old, value).map(|value| (key.clone(), value)),
                    None => Some((key.clone(), value.clone())),
                })
                .collect();
            (!changed.is_empty()).then_some(Value::Object(changed))
        }
        _ => (before != after).then(|| after.clone()),
    }
}

/// Lays `above` over `below`, as helm merges values files: nulls are kept for later.
fn merge(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                match below.get_mut(key) {
                    Some(old) => merge(old, value),
                    None => {
                        below.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// Fills `user` with `defaults`, as helm coalesces a chart's values: a null deletes the default.
pub(crate) fn fill(user: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    for (key, default) in defaults {
        match user.get_mut(key) {
            None => {
                user.insert(key.clone(), default.clone());
            }
            Some(Value::Null) => {
                user.shift_remove(key);
            }
            Some(Value::Object(user)) => {
                if let Value::Object(default) = default {
                    fill(user, default);
                }
            }
            Some(_) => {}
        }
    }
}

/// The chart's own defaults, and those of the subchart that lie below them.
static DEFAULTS: LazyLock<(Map<String, Value>, Map<String, Value>)> = LazyLock::new(|| {
    let object = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::Object(map)) => map,
        other => unreachable!("the defaults are an object, not {other:?}"),
    };
    let mut chart = object(serde_json::to_value(Values::default()));
    chart.insert("postgresql".to_owned(), Postgresql::of_parent());
    (chart, object(serde_json::to_value(Postgresql::of_subchart())))
});

/// What the chart's own values file says, without the subchart's.
pub(crate) fn chart_defaults() -> &'static Map<String, Value> {
    &DEFAULTS.0
}

fn over_defaults(user: Value) -> Value {
    let mut values = match user {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let (chart, subchart) = &*DEFAULTS;
    fill(&mut values, chart);
    if let Some(Value::Object(postgresql)) = values.get_mut("postgresql") {
        fill(postgresql, subchart);
    }
    Value::Object(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layered(files: &[&str]) -> Layers {
        let mut layers = Layers::default();
        for (index, text) in files.iter().enumerate() {
            layers.file(&format!("{index}.yaml"), text).expect("a layer");
        }
        layers
    }

    #[test]
    fn nothing_is_the_charts_defaults() {
        assert_eq!(Layers::default().values().expect("defaults"), Values::default());
    }

    #[test]
    fn maps_merge_and_lists_replace() {
        let layers = layered(&[
            "server: {podLabels: {a: one, b: two}, args: [x, z]}",
            "server: {podLabels: {b: three}, args: ['1']}",
        ]);
        assert_eq!(
            layers.user_values(),
            &json!({"server": {"podLabels": {"a": "one", "b": "three"}, "args": ["1"]}})
        );
    }

    #[test]
    fn null_deletes_a_default_and_the_subcharts_shows_through() {
        let values = layered(&[
            "server: {resources: {requests: null}, loggingLevel: null}\npostgresql: {auth: {password: null}, image: {tag: null, registry: null}}",
        ])
        .values()
        .expect("values");
        assert_eq!(values.server.resources.expect("limits remain").requests, None);
        assert_eq!(values.server.logging_level, None);
        assert_eq!(values.postgresql.auth.password, "");
        assert_eq!(values.postgresql.image.tag, Postgresql::of_subchart().image.tag);
        assert_eq!(values.postgresql.image.registry, "");
    }

    #[test]
    fn deleting_a_block_that_the_chart_reads_is_refused() {
        let error = layered(&["server: {autoscaling: null}"])
            .values()
            .expect_err("a refusal");
        assert_eq!(
            error.to_string(),
            "0.yaml:1:10: `server.autoscaling` is missing: the chart reads it and its default was deleted"
        );
    }

    #[test]
    fn the_topmost_layer_with_the_fault_is_named() {
        let mut layers = layered(&["server:\n  replicaCount: 1\n", "server:\n  replicaCount: many\n"]);
        let error = layers.values().expect_err("a refusal");
        assert_eq!(
            error.to_string(),
            "1.yaml:2:3: `server.replicaCount` is the text `many`, allowed is a whole number"
        );
        layers.set("server.replicaCount=lots").expect("an expression");
        let error = layers.values().expect_err("a refusal");
        assert!(
            error.to_string().starts_with("--set server.replicaCount=lots: "),
            "{error}"
        );
    }

    #[test]
    fn choices_and_patterns_are_named() {
        let error = |text: &str| layered(&[text]).values().expect_err("a refusal").to_string();
        assert_eq!(
            error("server: {podSecurityContext: {seccompProfile: {type: Other}}}"),
            "0.yaml:1:48: `server.podSecurityContext.seccompProfile.type` is the text `Other`, allowed is one of RuntimeDefault, Unconfined, Localhost"
        );
        assert_eq!(
            error("server: {podSecurityContext: {seccompProfile: {localhostProfile: a}}}"),
            "0.yaml:1:48: `server.podSecurityContext.seccompProfile.localhostProfile` is the text `a`, allowed is a path that begins with `/`"
        );
        assert_eq!(
            error("secret: {password: 5, port: true}"),
            "0.yaml:1:10: `secret.password` is a number, allowed is a text"
        );
        assert_eq!(
            error("service: {port: true}"),
            "0.yaml:1:11: `service.port` is the boolean `true`, allowed is a whole number or a text"
        );
        assert_eq!(
            error("service: {extraPorts: [{name: a}]}"),
            "0.yaml:1:24: `service.extraPorts.0.port` is missing: each item needs it"
        );
        assert_eq!(
            error("global: {prefect: {prefectApiUrl: x}}"),
            "0.yaml:1:20: `global.prefect.prefectApiUrl` has been removed from the chart; use `server.uiConfig.prefectUiApiUrl` instead"
        );
        assert_eq!(
            error("postgresql: {architecture: replication}"),
            "0.yaml:1:14: `postgresql.architecture` is not implemented by this renderer; `--chart PATH` renders the real chart with helm"
        );
        assert_eq!(
            error("zzz: 1").split("; known").next(),
            Some("0.yaml:1:1: unknown key `zzz`")
        );
    }

    #[test]
    fn settings_without_effect_are_passed_over() {
        let values = layered(&[
            "postgresql: {architecture: standalone, metrics: {enabled: false}, backup: null, primary: {standby: {enabled: false}}}",
        ]);
        assert_eq!(values.values().expect("values"), Values::default());
    }

    #[test]
    fn a_list_is_no_layer() {
        let error = Layers::default().file("l.yaml", "- a\n").expect_err("a refusal");
        assert!(matches!(error, ValuesError::NoMapping { .. }), "{error}");
    }
}
