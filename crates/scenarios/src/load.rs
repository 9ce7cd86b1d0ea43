//! Reading scenario files, and what is wrong with them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use prefect_e2e_renderer::{Layers, Place, ValuesError, locate};
use serde_json::{Map, Value};

use crate::format::{Expectation, Proof, Scenario, ScenarioFile};

/// A scenario cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is not a scenario.
    #[error("{origin}: {message}")]
    Format {
        /// The file.
        origin: String,
        /// What was found, and what is allowed.
        message: String,
        /// Line and column, both from 1, where they are known.
        position: Option<(u64, u64)>,
    },
    /// The values of the scenario are not the chart's.
    #[error("{}: the values cannot be used", Place { origin: origin.clone(), position: *position })]
    Values {
        /// The file.
        origin: String,
        /// The key of the file that is to blame, with dots.
        key: String,
        /// Line and column of the key, both from 1, where they are known.
        position: Option<(u64, u64)>,
        /// What is wrong with them.
        source: Box<ValuesError>,
    },
    /// A file's name is not a scenario's.
    #[error(
        "{name:?} is no name for a scenario: it becomes part of a namespace's, so it is made of a-z, 0-9 and -"
    )]
    Name {
        /// The file's name without its ending.
        name: String,
    },
    /// The directory holds no scenario.
    #[error("{} holds no scenario, that is no file that ends in .yaml", directory.display())]
    Empty {
        /// The directory.
        directory: PathBuf,
    },
}

/// All scenarios of a directory, by name.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// In the order of their names.
    pub scenarios: Vec<Scenario>,
}

impl Matrix {
    /// Reads every `*.yaml` of `directory`.
    ///
    /// # Errors
    /// When the directory or one of the files cannot be read or is wrong.
    pub fn load(directory: &Path) -> Result<Self, ScenarioError> {
        let paths = scenario_files(directory)?;
        let scenarios = paths.iter().map(|path| load(path)).collect::<Result<_, _>>()?;
        Ok(Self { scenarios })
    }
}

/// The scenario files of a directory, every `*.yaml`, in the order of their names.
///
/// # Errors
/// When the directory cannot be read or holds none.
pub fn scenario_files(directory: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let failed = |source| ScenarioError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(ScenarioError::Empty {
            directory: directory.to_owned(),
        });
    }
    paths.sort();
    Ok(paths)
}

/// Reads the scenario of one file.
///
/// # Errors
/// When it cannot be read, is not a scenario, or its values are not the chart's.
pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    let text = fs::read_to_string(path).map_err(|source| ScenarioError::Read {
        path: path.to_owned(),
        source,
    })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    parse(&name, &path.display().to_string(), &text)
}

/// Reads the scenario `name` from `text`; `origin` names the text in errors.
///
/// # Errors
/// When it is not a scenario, or its values are not the chart's.
pub fn parse(name: &str, origin: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let is_label = |name: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !name.is_empty()
            && name.len() <= 40
            && name.bytes().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
    };
    if !is_label(name) {
        return Err(ScenarioError::Name {
            name: name.to_owned(),
        });
    }
    let format = |message: String, position| ScenarioError::Format {
        origin: origin.to_owned(),
        message,
        position,
    };
    let file: ScenarioFile = serde_saphyr::from_str(text).map_err(|error| {
        let position = error.location().map(|place| (place.line(), place.column()));
        format(error.to_string(), position)
    })?;
    let scenario = Scenario {
        name: name.to_owned(),
        file,
    };
    check(&scenario).map_err(|(key, message)| format(message, locate(text, &[key.to_owned()])))?;
    check_values(&scenario, origin, text)?;
    Ok(scenario)
}

/// What the types cannot say: the key that is wrong, and why.
fn check(scenario: &Scenario) -> Result<(), (&'static str, String)> {
    let file = &scenario.file;
    if file.description.trim().is_empty() {
        let message = "`description` is missing: say in a sentence what the scenario is for";
        return Err(("description", message.into()));
    }
    if file.expect != Expectation::Ready && !(file.proves.is_empty() && file.upgrades.is_empty()) {
        let message = "`proves` and `upgrades` need a deployment that is `expect: ready`";
        return Err(("expect", message.into()));
    }
    for proof in &file.proves {
        match proof {
            Proof::DatabaseTls if file.requires.external_postgres.is_none() => {
                let message = "`proves: databaseTls` needs `requires.externalPostgres`";
                return Err(("proves", message.into()));
            }
            Proof::DataSurvives(survival) if survival.deleting.is_empty() => {
                let message = "`dataSurvives.deleting` names nothing: server, backgroundServices, database";
                return Err(("proves", message.into()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks keys and types of the values, unless placeholders still hide them.
fn check_values(scenario: &Scenario, origin: &str, text: &str) -> Result<(), ScenarioError> {
    if matches!(scenario.file.expect, Expectation::Refused(_))
        || scenario.file.requires.external_postgres.is_some()
    {
        return Ok(());
    }
    let wrong = |above: &str, source: ValuesError| {
        let key = format!("{above}.{}", source.key().unwrap_or_default());
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        ScenarioError::Values {
            origin: origin.to_owned(),
            position: locate(text, &path),
            key,
            source: Box::new(source),
        }
    };
    let mut layers = Layers::default();
    let mut lay = |above: &str, values: &Map<String, Value>| {
        layers
            .value(above, values.clone().into())
            .map_err(|source| wrong(above, source))?;
        layers.values().map_err(|source| wrong(above, source))
    };
    lay("values", &scenario.file.values)?;
    for (index, upgrade) in scenario.file.upgrades.iter().enumerate() {
        lay(&format!("upgrades.{index}.values"), &upgrade.values)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn error(text: &str) -> String {
        let error = parse("case", "case.yaml", text).unwrap_err();
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        message
    }

    #[rstest]
    #[case("description: x\nvalus: {}\n", &["case.yaml", "valus", "values"])]
    #[case("description: x\nproves: [databseTls]\n", &["databseTls", "databaseTls"])]
    #[case("description: [\n", &["case.yaml"])]
    #[case("values: {}\n", &["description"])]
    #[case("description: x\nproves: [databaseTls]\n", &["requires.externalPostgres"])]
    #[case("description: x\nexpect: {refused: {because: y}}\nproves: [databaseRows]\n", &["expect: ready"])]
    #[case("description: x\nvalues: {server: {replicaCont: 2}}\n", &["replicaCont", "replicaCount"])]
    fn what_is_wrong_is_named(#[case] text: &str, #[case] told: &[&str]) {
        let message = error(text);
        for part in told {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }

    #[rstest]
    #[case("Upper")]
    #[case("-x")]
    #[case("a.b")]
    #[case("")]
    fn names_must_fit_a_namespace(#[case] name: &str) {
        assert!(matches!(
            parse(name, "f", "description: x\n"),
            Err(ScenarioError::Name { .. })
        ));
    }

    #[test]
    fn a_directory_without_scenarios_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = Matrix::load(directory.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&directory.path().display().to_string())
        );
    }
}
