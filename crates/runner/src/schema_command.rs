//! `prefect-e2e schema`: JSON schemas for editors and validators.

use clap::{Args, ValueEnum};
use miette::IntoDiagnostic as _;
use prefect_e2e_renderer::values_schema;
use prefect_e2e_scenarios::json_schema;

use crate::stdout::print;

/// Which schema to print.
#[derive(Debug, Args)]
pub(crate) struct SchemaCommand {
    /// What the schema describes
    of: Described,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Described {
    /// Values files of the prefect-server chart
    Values,
    /// Scenario files
    Scenario,
}

impl SchemaCommand {
    pub(crate) fn run(self) -> miette::Result<()> {
        let schema = match self.of {
            Described::Values => values_schema().clone(),
            Described::Scenario => json_schema(),
        };
        print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&schema).into_diagnostic()?
        ))
    }
}
