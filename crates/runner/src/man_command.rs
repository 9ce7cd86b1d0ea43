//! `prefect-e2e man`: the manual pages.

use std::{fs, path::PathBuf};

use clap::{Args, Command};
use miette::{IntoDiagnostic as _, WrapErr as _};

use crate::stdout::print;

/// Where the pages go.
#[derive(Debug, Args)]
pub(crate) struct ManCommand {
    /// Write a page for the program and one for each command into this directory
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

impl ManCommand {
    /// Prints the page of `cli`, or writes it and those of its commands.
    pub(crate) fn run(self, cli: Command) -> miette::Result<()> {
        let Some(directory) = self.output_dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(cli).render(&mut page).into_diagnostic()?;
            return print(&String::from_utf8_lossy(&page));
        };
        fs::create_dir_all(&directory)
            .and_then(|()| clap_mangen::generate_to(cli, &directory))
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write the pages into {}", directory.display()))
    }
}
