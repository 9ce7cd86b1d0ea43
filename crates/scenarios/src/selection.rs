//! Choosing scenarios by name, pattern and label.

use crate::{format::Scenario, load::Matrix};

/// Which scenarios to run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Names or patterns with `*` and `?`; all scenarios if empty.
    pub patterns: Vec<String>,
    /// Labels that a scenario must have, each of them.
    pub labels: Vec<String>,
    /// Names or patterns to leave out.
    pub exclude: Vec<String>,
}

/// A selection chooses nothing, or names what is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// No scenario has this name.
    #[error("no scenario is called {name:?}{}", suggestion(nearest))]
    Unknown {
        /// The name or pattern.
        name: String,
        /// Names like it.
        nearest: Vec<String>,
    },
    /// No scenario has this label.
    #[error("no scenario has the label {label:?}; there are {}", known.join(", "))]
    UnknownLabel {
        /// The label asked for.
        label: String,
        /// All labels.
        known: Vec<String>,
    },
    /// Names, labels and exclusions leave no scenario.
    #[error("no scenario fits all of the names, labels and exclusions given")]
    Nothing,
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return "; `prefect-e2e list` names all".into();
    }
    format!("; did you mean {}?", nearest.join(" or "))
}

impl Selection {
    /// The chosen scenarios, in the order of the matrix.
    ///
    /// # Errors
    /// When a name, pattern or label fits no scenario, or all of them together none.
    pub fn choose(&self, matrix: &Matrix) -> Result<Vec<Scenario>, SelectionError> {
        for pattern in self.patterns.iter().chain(&self.exclude) {
            if !matrix
                .scenarios
                .iter()
                .any(|scenario| fits(pattern, &scenario.name))
            {
                return Err(SelectionError::Unknown {
                    name: pattern.clone(),
                    nearest: nearest(pattern, matrix),
                });
            }
        }
        for label in &self.labels {
            if !matrix
                .scenarios
                .iter()
                .any(|scenario| scenario.file.labels.contains(label))
            {
                let all: std::collections::BTreeSet<_> = matrix
                    .scenarios
                    .iter()
                    .flat_map(|scenario| scenario.file.labels.clone())
                    .collect();
                return Err(SelectionError::UnknownLabel {
                    label: label.clone(),
                    known: all.into_iter().collect(),
                });
            }
        }
        let chosen = matrix.scenarios.iter().filter(|scenario| self.takes(scenario));
        let chosen: Vec<_> = chosen.cloned().collect();
        if chosen.is_empty() {
            Err(SelectionError::Nothing)
        } else {
            Ok(chosen)
        }
    }

    fn takes(&self, scenario: &Scenario) -> bool {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, &scenario.name));
        (self.patterns.is_empty() || named(&self.patterns))
            && !named(&self.exclude)
            && self
                .labels
                .iter()
                .all(|label| scenario.file.labels.contains(label))
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for anything and `?` for one character.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => (0..=name.len())
            .filter(|at| name.is_char_boundary(*at))
            .any(|at| fits(&pattern[1..], &name[at..])),
        Some(wanted) => name.chars().next().is_some_and(|found| {
            (wanted == '?' || wanted == found)
                && fits(&pattern[wanted.len_utf8()..], &name[found.len_utf8()..])
        }),
    }
}

fn nearest(name: &str, matrix: &Matrix) -> Vec<String> {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let mut near: Vec<_> = matrix
        .scenarios
        .iter()
        .map(|scenario| scenario.name.as_str())
        .collect();
    near.retain(|known| distance(known) <= 1 + name.len() / 3 || known.starts_with(name));
    near.sort_by_key(|known| distance(known));
    near.into_iter().take(3).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::format::ScenarioFile;

    fn matrix() -> Matrix {
        let scenario = |name: &str, label: &str| Scenario {
            name: name.into(),
            file: ScenarioFile {
                labels: [label.to_owned()].into(),
                ..ScenarioFile::default()
            },
        };
        let scenarios = vec![
            scenario("basic-auth", "auth"),
            scenario("external-postgres", "database"),
            scenario("external-postgres-ssl", "database"),
            scenario("sqlite", "database"),
        ];
        Matrix { scenarios }
    }

    fn choose(patterns: &[&str], labels: &[&str], exclude: &[&str]) -> Result<Vec<String>, SelectionError> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let selection = Selection {
            patterns: owned(patterns),
            labels: owned(labels),
            exclude: owned(exclude),
        };
        Ok(selection
            .choose(&matrix())?
            .into_iter()
            .map(|scenario| scenario.name)
            .collect())
    }

    #[rstest]
    #[case(&[], &[], &[], &["basic-auth", "external-postgres", "external-postgres-ssl", "sqlite"])]
    #[case(&["sqlite"], &[], &[], &["sqlite"])]
    #[case(&["external-*"], &[], &[], &["external-postgres", "external-postgres-ssl"])]
    #[case(&["sqlit?"], &[], &[], &["sqlite"])]
    #[case(&[], &["database"], &["*-ssl"], &["external-postgres", "sqlite"])]
    fn scenarios_are_chosen(
        #[case] patterns: &[&str],
        #[case] labels: &[&str],
        #[case] exclude: &[&str],
        #[case] expected: &[&str],
    ) {
        assert_eq!(choose(patterns, labels, exclude).unwrap(), expected);
    }

    #[rstest]
    #[case(&["sqlit"], &[], r#"no scenario is called "sqlit"; did you mean sqlite?"#)]
    #[case(&["nothing-like-it"], &[], r#"no scenario is called "nothing-like-it"; `prefect-e2e list` names all"#)]
    #[case(&[], &["data"], r#"no scenario has the label "data"; there are auth, database"#)]
    #[case(&["sqlite"], &["auth"], "no scenario fits all of the names, labels and exclusions given")]
    fn what_fits_nothing_is_told(#[case] patterns: &[&str], #[case] labels: &[&str], #[case] message: &str) {
        assert_eq!(choose(patterns, labels, &[]).unwrap_err().to_string(), message);
    }
}
