//! `prefect-e2e lint`: what is doubtful in scenario files.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use miette::{IntoDiagnostic as _, WrapErr as _};
use prefect_e2e_scenarios::{Finding, lint, scenario_files};

use crate::{exit_code, scenario_args::ScenarioDirectory, sink::count, stdout::print};

/// Which files to look at, and how to tell.
#[derive(Debug, Args)]
pub(crate) struct LintCommand {
    /// Scenario files [default: all of the directory]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    directory: ScenarioDirectory,
    /// How to print what is found
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each finding, and one for what to do
    Plain,
    /// A list of objects: file, position, rule, key, message, hint
    Json,
}

impl LintCommand {
    /// Prints the findings; exit code 1 when there are any.
    pub(crate) fn run(self) -> miette::Result<u8> {
        let files = if self.files.is_empty() {
            scenario_files(&self.directory.find()?).into_diagnostic()?
        } else {
            self.files
        };
        let mut findings = Vec::new();
        for file in &files {
            let text = fs::read_to_string(file).into_diagnostic();
            let text = text.wrap_err_with(|| format!("cannot read {}", file.display()))?;
            findings.extend(lint(&file.display().to_string(), &text));
        }
        match self.format {
            Format::Plain => print(&plain(&findings, files.len()))?,
            Format::Json => {
                let list = serde_json::to_string_pretty(&findings).into_diagnostic()?;
                print(&format!("{list}\n"))?;
            }
        }
        Ok(if findings.is_empty() {
            exit_code::PASSED
        } else {
            exit_code::FAILED
        })
    }
}

fn plain(findings: &[Finding], files: usize) -> String {
    let mut text: String = findings
        .iter()
        .map(|finding| format!("{finding}\n  {}\n", finding.hint))
        .collect();
    text.push_str(&format!(
        "{} in {}\n",
        count(findings.len(), "finding"),
        count(files, "file")
    ));
    text
}
