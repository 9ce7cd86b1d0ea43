//! `prefect-e2e config`: the settings in effect, and where each comes from.

use clap::{ArgMatches, Args, Command, parser::ValueSource};

use crate::{
    batch_args::BatchArgs,
    deploy_args::DeployArgs,
    report_args::ReportArgs,
    scenario_args::ScenarioDirectory,
    settings::Settings,
    stdout::{aligned, print},
    target::TargetArgs,
};

/// The flags of `run`, whose settings are shown.
#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(flatten)]
    directory: ScenarioDirectory,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    deploy: DeployArgs,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Prints every setting of `matches`, which the `command` was parsed to.
pub(crate) fn show(command: &Command, matches: &ArgMatches, settings: &Settings) -> miette::Result<()> {
    let rows: Vec<[String; 3]> = Settings::all()
        .map(|(key, argument)| {
            let values = matches.get_raw(argument).into_iter().flatten();
            let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
            let value = if values.is_empty() {
                "–".into()
            } else {
                values.join(",")
            };
            [
                key.to_owned(),
                value,
                origin(command, matches, settings, argument),
            ]
        })
        .collect();
    print(&aligned(&rows))
}

fn origin(command: &Command, matches: &ArgMatches, settings: &Settings, argument: &str) -> String {
    let variable = || {
        let found = command.get_arguments().find(|one| one.get_id() == argument);
        let name = found.and_then(clap::Arg::get_env);
        name.map(|name| name.to_string_lossy().into_owned())
    };
    match matches.value_source(argument) {
        Some(ValueSource::CommandLine) => "command line".to_owned(),
        Some(ValueSource::EnvVariable) => variable().unwrap_or_default(),
        Some(_) => settings.place(argument).unwrap_or("default").to_owned(),
        None => "not set".to_owned(),
    }
}
