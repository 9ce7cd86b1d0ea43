//! `--matrix prefect=3.2.7,3.6.9`: each scenario once for each version of Prefect.

use std::{collections::BTreeMap, str::FromStr};

use prefect_e2e_scenarios::{Expectation, Scenario};
use serde_json::{Map, Value, json};

/// Where the values have the version of Prefect.
const TAG: &str = "/global/prefect/image/prefectTag";

/// The versions of Prefect that scenarios are run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionMatrix {
    tags: Vec<String>,
}

/// A text is not a matrix.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAMatrix {
    /// It has another form.
    #[error("expected AXIS=VERSION,VERSION, such as prefect=3.2.7,3.6.9; found {0:?}")]
    Form(String),
    /// Its axis is not known.
    #[error("the axis {0:?} is not known; there is prefect")]
    Axis(String),
    /// A run cannot have several versions of Kubernetes.
    #[error(
        "a run has one cluster, and that has one version of Kubernetes: run once for each version, with --target kind --kubernetes-version X.Y.Z"
    )]
    Kubernetes,
    /// A version is not an image's tag.
    #[error("{0:?} is no tag of an image: letters, digits, `.`, `-` and `_`")]
    Tag(String),
}

impl FromStr for VersionMatrix {
    type Err = NotAMatrix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (axis, versions) = text
            .split_once('=')
            .ok_or_else(|| NotAMatrix::Form(text.to_owned()))?;
        match axis {
            "prefect" => {}
            "kubernetes" => return Err(NotAMatrix::Kubernetes),
            _ => return Err(NotAMatrix::Axis(axis.to_owned())),
        }
        let tags: Vec<String> = versions.split(',').map(|tag| tag.trim().to_owned()).collect();
        let is_tag = |tag: &String| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            !tag.is_empty() && tag.len() <= 20 && tag.bytes().all(inner)
        };
        match tags.iter().find(|tag| !is_tag(tag)) {
            Some(tag) => Err(NotAMatrix::Tag(tag.clone())),
            None => Ok(Self { tags }),
        }
    }
}

/// Scenarios for each version, and how those that have another name than their file's are run again.
pub(crate) struct Expanded {
    pub(crate) scenarios: Vec<Scenario>,
    /// What to write after `prefect-e2e run`, by the scenario's name.
    pub(crate) reruns: BTreeMap<String, String>,
    /// Scenarios that the versions are not for, by name.
    pub(crate) unchanged: Vec<String>,
}

impl VersionMatrix {
    /// Each scenario once for each version. Those that are about a version themselves, because they are
    /// refused or change it, are run as they are.
    pub(crate) fn expand(&self, scenarios: Vec<Scenario>) -> Expanded {
        let mut expanded = Expanded {
            scenarios: Vec::new(),
            reruns: BTreeMap::new(),
            unchanged: Vec::new(),
        };
        for scenario in scenarios {
            if is_about_versions(&scenario) {
                expanded.unchanged.push(scenario.name.clone());
                expanded.scenarios.push(scenario);
                continue;
            }
            for tag in &self.tags {
                let variant = with_tag(&scenario, tag);
                let rerun = format!("{} --matrix prefect={tag}", scenario.name);
                expanded.reruns.insert(variant.name.clone(), rerun);
                expanded.scenarios.push(variant);
            }
        }
        expanded
    }
}

fn is_about_versions(scenario: &Scenario) -> bool {
    let changes = |values: &Map<String, Value>| Value::Object(values.clone()).pointer(TAG).is_some();
    matches!(scenario.file.expect, Expectation::Refused(_))
        || scenario
            .file
            .upgrades
            .iter()
            .any(|upgrade| changes(&upgrade.values))
}

fn with_tag(scenario: &Scenario, tag: &str) -> Scenario {
    let mut variant = scenario.clone();
    let suffix: String = tag
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    variant.name = format!("{}-{}", scenario.name, suffix.trim_matches('-'));
    let mut values = Value::Object(std::mem::take(&mut variant.file.values));
    json_patch::merge(
        &mut values,
        &json!({"global": {"prefect": {"image": {"prefectTag": tag}}}}),
    );
    if let Value::Object(values) = values {
        variant.file.values = values;
    }
    variant
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn each_scenario_is_run_with_each_version() {
        let scenario = |name: &str, text: &str| prefect_e2e_scenarios::parse(name, name, text).unwrap();
        let scenarios = vec![
            scenario("sqlite", "description: x\nvalues: {server: {debug: true}}\n"),
            scenario("old", "description: x\nexpect: {refused: {because: tag}}\n"),
        ];
        let matrix: VersionMatrix = "prefect=3.2.7,3.6.9-python3.12".parse().unwrap();
        let expanded = matrix.expand(scenarios);
        let names: Vec<_> = expanded.scenarios.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["sqlite-3-2-7", "sqlite-3-6-9-python3-12", "old"]);
        assert_eq!(expanded.unchanged, ["old"]);
        assert_eq!(expanded.reruns["sqlite-3-2-7"], "sqlite --matrix prefect=3.2.7");
        let values = Value::Object(expanded.scenarios[0].file.values.clone());
        assert_eq!(
            values,
            json!({"server": {"debug": true}, "global": {"prefect": {"image": {"prefectTag": "3.2.7"}}}})
        );
    }

    #[rstest]
    #[case("3.2.7", "expected AXIS=VERSION")]
    #[case("kubernetes=1.34", "a run has one cluster")]
    #[case("python=3.12", "there is prefect")]
    #[case("prefect=", "no tag of an image")]
    #[case("prefect=3.2.7,a/b", "\"a/b\" is no tag")]
    fn other_texts_are_no_matrix(#[case] text: &str, #[case] message: &str) {
        let error = text.parse::<VersionMatrix>().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
