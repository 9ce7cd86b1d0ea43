//! `prefect-e2e list`: the scenarios, a line each.

use clap::Args;
use miette::IntoDiagnostic as _;
use serde_json::json;

use crate::scenario_args::ScenarioArgs;

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
            println!("{}", serde_json::to_string_pretty(&list).into_diagnostic()?);
            return Ok(());
        }
        let width = scenarios
            .iter()
            .map(|scenario| scenario.name.len())
            .max()
            .unwrap_or_default();
        for scenario in scenarios {
            println!("{:width$}  {}", scenario.name, scenario.file.description.trim());
        }
        Ok(())
    }
}
