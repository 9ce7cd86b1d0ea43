//! The part of the command line that chooses scenarios.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use miette::IntoDiagnostic as _;
use prefect_e2e_scenarios::{Matrix, Scenario, Selection, load, scenario_files};

use crate::{cli::Cli, settings::Settings};

/// Which scenarios.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScenarioArgs {
    /// Names, patterns such as 'external-*', or paths of scenario files [default: all]
    #[arg(value_name = "SCENARIO", add = ArgValueCandidates::new(candidates))]
    pub(crate) patterns: Vec<String>,
    /// Only scenarios with this label; repeat it to ask for several
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Leave these out; names or patterns
    #[arg(long, value_name = "SCENARIO", add = ArgValueCandidates::new(candidates))]
    exclude: Vec<String>,
    #[command(flatten)]
    directory: ScenarioDirectory,
}

/// Where the scenario files are.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScenarioDirectory {
    /// The directory of the scenario files [default: scenarios, here or in a directory above]
    #[arg(long, value_name = "DIR", env = "PREFECT_E2E_SCENARIOS")]
    scenarios: Option<PathBuf>,
}

impl ScenarioDirectory {
    /// The directory, which must be there.
    pub(crate) fn find(&self) -> miette::Result<PathBuf> {
        if let Some(directory) = &self.scenarios {
            return Ok(directory.clone());
        }
        let here = std::env::current_dir().into_diagnostic()?;
        above(&here).ok_or_else(|| {
            miette::miette!(
                help = "name it with --scenarios DIR or PREFECT_E2E_SCENARIOS; `prefect-e2e new` makes one",
                "there is no directory `scenarios` in {} or above",
                here.display()
            )
        })
    }

    /// The directory, or where one is to be made.
    pub(crate) fn find_or_here(&self) -> miette::Result<PathBuf> {
        let here = std::env::current_dir().into_diagnostic()?;
        Ok(self
            .scenarios
            .clone()
            .or_else(|| above(&here))
            .unwrap_or_else(|| "scenarios".into()))
    }
}

fn above(here: &Path) -> Option<PathBuf> {
    here.ancestors()
        .map(|above| above.join("scenarios"))
        .find(|directory| directory.is_dir())
}

/// The scenarios that a shell may complete, with what they are for; none when they cannot be read.
pub(crate) fn candidates() -> Vec<CompletionCandidate> {
    let settings = Settings::find(&Cli::command()).unwrap_or_default();
    let of_environment = std::env::var_os("PREFECT_E2E_SCENARIOS").map(PathBuf::from);
    let directory = ScenarioDirectory {
        scenarios: of_environment.or_else(|| settings.text("scenarios").map(PathBuf::from)),
    };
    let files = directory
        .find()
        .ok()
        .and_then(|directory| scenario_files(&directory).ok());
    let scenarios = files.into_iter().flatten().filter_map(|file| load(&file).ok());
    scenarios
        .map(|one| {
            CompletionCandidate::new(one.name).help(Some(one.file.description.trim().to_owned().into()))
        })
        .collect()
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
            let matrix = Matrix::load(&self.directory.find()?).into_diagnostic()?;
            let selection = Selection {
                patterns: patterns.into_iter().cloned().collect(),
                labels: self.label.clone(),
                exclude: self.exclude.clone(),
            };
            chosen.extend(selection.choose(&matrix).into_diagnostic()?);
        }
        Ok(chosen)
    }

    /// The argument that makes a rerun look in the same directory.
    pub(crate) fn rerun_argument(&self) -> Option<String> {
        self.directory
            .scenarios
            .as_ref()
            .map(|directory| format!("--scenarios {}", directory.display()))
    }

    /// The directory as seen from the working directory, for annotations.
    pub(crate) fn shown_directory(&self) -> PathBuf {
        let directory = self.directory.find().unwrap_or_else(|_| "scenarios".into());
        let here = std::env::current_dir().unwrap_or_default();
        directory
            .strip_prefix(&here)
            .map(Path::to_owned)
            .unwrap_or(directory)
    }
}

/// Which scenario, of those that run alone.
#[derive(Debug, Args)]
pub(crate) struct OneScenario {
    /// The scenario's name, or the path of its file
    #[arg(value_name = "SCENARIO", add = ArgValueCandidates::new(candidates))]
    name: String,
    #[command(flatten)]
    directory: ScenarioDirectory,
}

impl OneScenario {
    /// The scenario.
    pub(crate) fn choose(&self) -> miette::Result<Scenario> {
        load(&self.file()?).into_diagnostic()
    }

    /// Its file.
    pub(crate) fn file(&self) -> miette::Result<PathBuf> {
        if is_file(&self.name) {
            return Ok(PathBuf::from(&self.name));
        }
        let directory = self.directory.find()?;
        let selection = Selection {
            patterns: vec![self.name.clone()],
            ..Selection::default()
        };
        let matrix = Matrix::load(&directory).into_diagnostic()?;
        let chosen = selection.choose(&matrix).into_diagnostic()?;
        match chosen.as_slice() {
            [one] => Ok(directory.join(format!("{}.yaml", one.name))),
            several => Err(miette::miette!(
                "{} names {} scenarios, and one is meant",
                self.name,
                several.len()
            )),
        }
    }
}

/// Whether a word names a file rather than a scenario of the matrix.
fn is_file(word: &str) -> bool {
    word.ends_with(".yaml") || word.ends_with(".yml") || word.contains('/')
}
