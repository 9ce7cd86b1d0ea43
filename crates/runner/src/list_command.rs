//! `prefect-e2e list`: the scenarios, a line each.

use clap::Args;
use miette::IntoDiagnostic as _;
use serde_json::json;

use crate::{
    scenario_args::ScenarioArgs,
    stdout::{aligned, print},
};

/// Which scenarios to list, and how.
#[derive(Debug, Args)]
pub(crate) struct ListCommand {
    #[command(flatten)]
    scenarios: ScenarioArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ListCommand {
    pub(crate) fn run(&self) -> miette::Result<()> {
        let scenarios = self.scenarios.choose()?;
        if self.json {
            let list: Vec<_> = scenarios
                .iter()
                .map(|one| json!({"name": one.name, "description": one.file.description, "labels": one.file.labels}))
                .collect();
            let text = serde_json::to_string_pretty(&list).into_diagnostic()?;
            return print(&format!("{text}\n"));
        }
        let rows: Vec<[String; 2]> = scenarios
            .into_iter()
            .map(|scenario| [scenario.name, scenario.file.description.trim().to_owned()])
            .collect();
        print(&aligned(&rows))
    }
}
