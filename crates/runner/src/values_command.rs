//! `prefect-e2e values`: the chart's values and what they mean.

use clap::Args;
use prefect_e2e_renderer::{values_markdown, values_yaml};

use crate::stdout::print;

/// How to print the values.
#[derive(Debug, Args)]
pub(crate) struct ValuesCommand {
    /// Print a table, as the chart's documentation has it
    #[arg(long)]
    markdown: bool,
}

impl ValuesCommand {
    pub(crate) fn run(self) -> miette::Result<()> {
        print(&if self.markdown {
            values_markdown()
        } else {
            values_yaml()
        })
    }
}
