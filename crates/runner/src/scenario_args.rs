//! The part of the command line that chooses scenarios.

use std::path::{Path, PathBuf};

use clap::Args;
use miette::IntoDiagnostic as _;
use prefect_e2e_scenarios::{Matrix, Scenario, Selection, load};

/// Which scenarios.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScenarioArgs {
    /// Names, patterns such as 'external-*', or paths of scenario files [default: all]
    #[arg(value_name = "SCENARIO")]
    pub(crate) patterns: Vec<String>,
    /// Only scenarios with this label; repeat it to ask for several
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Leave these out; names or patterns
    #[arg(long, value_name = "SCENARIO")]
    exclude: Vec<String>,
    /// The directory of the scenario files [default: scenarios, here or in a directory above]
    #[arg(long, value_name = "DIR", env = "PREFECT_E2E_SCENARIOS")]
    scenarios: Option<PathBuf>,
}

impl ScenarioArgs {
    /// The scenarios chosen.
    pub(crate) fn choose(&self) -> miette::Result<Vec<Scenario>> {
        let (files, patterns): (Vec<_>, Vec<_>) = self.patterns.iter().partition(|word| is_file(word));
        let mut chosen = Vec::new();
        for file in &files {
            chosen.push(load(Path::new(file)).into_diagnostic()?);
        }
        if files.is_empty() || !patterns.is_empty() {
            let matrix = Matrix::load(&self.directory()?).into_diagnostic()?;
            let selection = Selection {
                patterns: patterns.into_iter().cloned().collect(),
                labels: self.label.clone(),
                exclude: self.exclude.clone(),
            };
            chosen.extend(selection.choose(&matrix).into_diagnostic()?);
        }
        Ok(chosen)
    }

    /// The directory of the scenario files.
    pub(crate) fn directory(&self) -> miette::Result<PathBuf> {
        if let Some(directory) = &self.scenarios {
            return Ok(directory.clone());
        }
        let here = std::env::current_dir().into_diagnostic()?;
        let found = here
            .ancestors()
            .map(|above| above.join("scenarios"))
            .find(|directory| directory.is_dir());
        found.ok_or_else(|| {
            miette::miette!(
                help = "name it with --scenarios DIR or PREFECT_E2E_SCENARIOS",
                "there is no directory `scenarios` in {} or above",
                here.display()
            )
        })
    }
}

impl ScenarioArgs {
    /// The argument that makes a rerun look in the same directory.
    pub(crate) fn rerun_argument(&self) -> Option<String> {
        self.scenarios
            .as_ref()
            .map(|directory| format!("--scenarios {}", directory.display()))
    }

    /// The directory as seen from the working directory, for annotations.
    pub(crate) fn shown_directory(&self) -> PathBuf {
        let directory = self.directory().unwrap_or_else(|_| "scenarios".into());
        let here = std::env::current_dir().unwrap_or_default();
        directory
            .strip_prefix(&here)
            .map(Path::to_owned)
            .unwrap_or(directory)
    }
}

/// Whether a word names a file rather than a scenario of the matrix.
fn is_file(word: &str) -> bool {
    word.ends_with(".yaml") || word.ends_with(".yml") || word.contains('/')
}
