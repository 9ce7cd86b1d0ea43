//! `prefect-e2e new`: a scenario from a user's own values.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use prefect_e2e_renderer::Layers;
use prefect_e2e_scenarios::json_schema;

use crate::{draft::Draft, scenario_args::ScenarioDirectory, values_args::read_values};

/// Which scenario to write, and from what.
#[derive(Debug, Args)]
pub(crate) struct NewCommand {
    /// The scenario's name: a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    name: String,
    /// Your values file, `-` for standard input; several are laid over each other, as helm does
    #[arg(long, value_name = "VALUES", num_args = 1.., required = true)]
    from: Vec<PathBuf>,
    /// Overwrite the scenario that there is
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    directory: ScenarioDirectory,
}

impl NewCommand {
    pub(crate) fn run(self) -> miette::Result<()> {
        let directory = self.directory.find_or_here()?;
        let path = directory.join(format!("{}.yaml", self.name));
        if path.exists() && !self.force {
            return Err(miette!(
                help = "take another name, or --force",
                "{} is there already",
                path.display()
            ));
        }
        let mut layers = Layers::default();
        for file in &self.from {
            let (origin, text) = read_values(file)?;
            layers.file(&origin, &text).into_diagnostic()?;
        }
        let names: Vec<_> = self.from.iter().filter_map(|file| file.file_name()).collect();
        let source = names
            .iter()
            .map(|name| name.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" and ");
        let draft = Draft::new(&self.name, &source, &layers).into_diagnostic()?;
        let text = draft.to_yaml(schema_of(&directory)?);
        prefect_e2e_scenarios::parse(&self.name, &path.display().to_string(), &text).into_diagnostic()?;
        write(&path, &text)?;
        println!("wrote {}", path.display());
        for change in draft.changes() {
            println!("  {change}");
        }
        println!("prove it: prefect-e2e run {}", self.name);
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> miette::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .into_diagnostic()
            .wrap_err_with(cannot)?;
    }
    fs::write(path, text).into_diagnostic().wrap_err_with(cannot)
}

/// The schema as seen from the scenarios: the repository's own, else one that is written beside them.
fn schema_of(directory: &Path) -> miette::Result<&'static str> {
    const OF_REPOSITORY: &str = "../schemas/scenario.json";
    const BESIDE: &str = "scenario.schema.json";
    if directory.join(OF_REPOSITORY).is_file() {
        return Ok(OF_REPOSITORY);
    }
    let schema = serde_json::to_string_pretty(&json_schema()).into_diagnostic()?;
    write(&directory.join(BESIDE), &format!("{schema}\n"))?;
    Ok(BESIDE)
}
