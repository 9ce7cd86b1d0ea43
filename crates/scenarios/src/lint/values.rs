//! Whether the values become what is expected of them, and which of them say nothing.

use prefect_e2e_renderer::{Layers, Release, RenderError, Values, ValuesError, render};
use serde_json::{Map, Value};

use super::{Linter, Rule};
use crate::{
    format::{Expectation, Scenario},
    placeholder::Placeholders,
};

/// Why values are no deployment, and the key of theirs that is to blame.
struct Refusal {
    key: String,
    message: String,
}

impl From<ValuesError> for Refusal {
    fn from(error: ValuesError) -> Self {
        Self {
            key: error.key().unwrap_or_default().to_owned(),
            message: error.to_string(),
        }
    }
}

impl From<RenderError> for Refusal {
    fn from(error: RenderError) -> Self {
        Self {
            key: error.key().unwrap_or_default().to_owned(),
            message: error.to_string(),
        }
    }
}

impl Linter<'_> {
    /// The values in effect at first; `None` when they are refused.
    pub(super) fn rendered(&mut self, scenario: &Scenario) -> Option<Values> {
        let mut layers = Layers::default();
        let first = add(&mut layers, scenario, &scenario.file.values);
        if let Expectation::Refused(because) = &scenario.file.expect {
            self.refusal(first.err(), &because.because);
            return None;
        }
        if let Err(refusal) = &first {
            self.unrenderable(&["values"], refusal);
            return None;
        }
        for (index, upgrade) in scenario.file.upgrades.iter().enumerate() {
            if let Err(refusal) = add(&mut layers, scenario, &upgrade.values) {
                self.unrenderable(&["upgrades", &index.to_string(), "values"], &refusal);
                break;
            }
        }
        first.ok()
    }

    fn unrenderable(&mut self, place: &[&str], refusal: &Refusal) {
        let path: Vec<&str> = place
            .iter()
            .copied()
            .chain(refusal.key.split('.').filter(|step| !step.is_empty()))
            .collect();
        self.find(
            Rule::Unrenderable,
            &path,
            refusal.message.clone(),
            "mend the value, or say `expect: {refused: {because: …}}` when it is meant to be refused",
        );
    }

    fn refusal(&mut self, refusal: Option<Refusal>, because: &str) {
        let (message, hint) = match refusal {
            Some(refusal) if refusal.message.contains(because) => return,
            Some(refusal) => (
                format!(
                    "the chart refuses the values for another reason: {}",
                    refusal.message
                ),
                "let `because` be a part of the refusal",
            ),
            None => (
                "the chart takes the values, although it is expected to refuse them".to_owned(),
                "expect `ready` or `neverReady`, or change the values",
            ),
        };
        self.find(Rule::NotRefused, &["expect"], message, hint);
    }

    /// Values that change nothing: the chart's defaults, or what an upgrade finds already.
    pub(super) fn default_values(&mut self, scenario: &Scenario) {
        let Ok(mut below) = serde_json::to_value(Values::default()) else {
            return;
        };
        self.idle(&below, &scenario.file.values, &mut vec!["values".to_owned()], 1);
        for (index, upgrade) in scenario.file.upgrades.iter().enumerate() {
            let earlier = match index {
                0 => &scenario.file.values,
                _ => &scenario.file.upgrades[index - 1].values,
            };
            json_patch::merge(&mut below, &Value::Object(earlier.clone()));
            let mut path = ["upgrades", &index.to_string(), "values"]
                .map(str::to_owned)
                .to_vec();
            self.idle(&below, &upgrade.values, &mut path, 3);
        }
    }

    /// Finds the values of `above` that `below` has already; the first `root` steps of `path` lead to them.
    fn idle(&mut self, below: &Value, above: &Map<String, Value>, path: &mut Vec<String>, root: usize) {
        for (name, value) in above {
            path.push(name.clone());
            match (below.get(name), value) {
                (Some(below @ Value::Object(_)), Value::Object(map)) if !map.is_empty() => {
                    self.idle(below, map, path, root);
                }
                (Some(below), value) if below == value => {
                    let steps: Vec<&str> = path.iter().map(String::as_str).collect();
                    let message = format!("`{}` has this value without the line", path[root..].join("."));
                    self.find(Rule::DefaultValue, &steps, message, "leave it out");
                }
                _ => {}
            }
            path.pop();
        }
    }
}

/// Lays the values of a scenario on top and renders all of them.
fn add(layers: &mut Layers, scenario: &Scenario, values: &Map<String, Value>) -> Result<Values, Refusal> {
    let placeholders = Placeholders::stand_in_for(&scenario.file.requires);
    let filled = placeholders.fill_values(values).map_err(|error| Refusal {
        key: String::new(),
        message: error.to_string(),
    })?;
    layers.value("the values", filled.into())?;
    let values = layers.values()?;
    render(&Release::new(scenario.release(), "lint"), &values)?;
    Ok(values)
}
