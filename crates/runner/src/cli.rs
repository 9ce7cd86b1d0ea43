//! The command line: what there is to do, and how it ends.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use miette::{IntoDiagnostic as _, WrapErr as _};
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

use crate::{
    clean_command::CleanCommand,
    cluster_command::ClusterCommand,
    completions_command::{COMPLETING, CompletionsCommand},
    config_command::{self, ConfigCommand},
    coverage_command::CoverageCommand,
    diff_command::DiffCommand,
    doctor_command::DoctorCommand,
    exit_code,
    lint_command::LintCommand,
    list_command::ListCommand,
    man_command::ManCommand,
    new_command::NewCommand,
    open_command::OpenCommand,
    render_command::RenderCommand,
    run_command::RunCommand,
    schema_command::SchemaCommand,
    settings::Settings,
    values_command::ValuesCommand,
    watch_command::WatchCommand,
};

/// Deploys the prefect-server chart's values and proves that the deployment does what they promise.
///
/// Exit codes: 0 all passed; 1 a scenario failed; 2 bad usage, bad input or a machine that lacks what is
/// needed; 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "prefect-e2e",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deploy scenarios and prove them
    Run(Box<RunCommand>),
    /// Deploy one scenario and open it at ports of this machine until Ctrl-C
    Open(Box<OpenCommand>),
    /// Prove one scenario again whenever its files, or its chart's, change
    Watch(Box<WatchCommand>),
    /// Show the settings in effect, and where each comes from
    Config(Box<ConfigCommand>),
    /// List the scenarios
    List(ListCommand),
    /// Write a scenario from your own values
    New(NewCommand),
    /// Find what is doubtful in scenario files
    Lint(LintCommand),
    /// Tell which of the chart's values the scenarios set, and which have an effect at all
    Coverage(CoverageCommand),
    /// Say what this machine has, what it lacks and how to get it
    Doctor(DoctorCommand),
    /// Remove what killed runs left: kind clusters, and namespaces at a cluster of the kubeconfig
    Clean(CleanCommand),
    /// Print the objects that values become
    Render(Box<RenderCommand>),
    /// Show where the renderer and a real chart part
    Diff(Box<DiffCommand>),
    /// Print the chart's values and what they mean
    Values(ValuesCommand),
    /// Print a JSON schema, for editors and validators
    Schema(SchemaCommand),
    /// The embedded cluster on its own, to look at with kubectl
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Print what makes a shell complete commands, flags and names of scenarios
    Completions(CompletionsCommand),
    /// Print the manual page, or write one for each command
    Man(ManCommand),
}

/// Runs the command line of this process and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    CompleteEnv::with_factory(Cli::command).var(COMPLETING).complete();
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::from(exit_code::UNUSABLE)
        }
    }
}

fn run() -> miette::Result<u8> {
    let settings = Settings::find(&Cli::command())?;
    let cli = settings.apply(Cli::command());
    let matches = cli.clone().get_matches();
    let parsed = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    log_to_stderr();
    if let (Command::Config(_), Some((name, matches))) = (&parsed.command, matches.subcommand()) {
        let command = cli.find_subcommand(name).unwrap_or(&cli);
        return config_command::show(command, matches, &settings).map(|()| exit_code::PASSED);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .into_diagnostic()
        .wrap_err("cannot start the program's threads")?
        .block_on(parsed.command.run())
}

impl Command {
    async fn run(self) -> miette::Result<u8> {
        match self {
            Self::Run(command) => command.run().await,
            Self::Open(command) => command.run().await,
            Self::Watch(command) => command.run().await,
            // shown as it was parsed
            Self::Config(_) => Ok(exit_code::PASSED),
            Self::List(command) => command.run().map(|()| exit_code::PASSED),
            Self::New(command) => command.run().map(|()| exit_code::PASSED),
            Self::Lint(command) => command.run(),
            Self::Coverage(command) => command.run(),
            Self::Doctor(command) => command.run().await,
            Self::Clean(command) => command.run().await.map(|()| exit_code::PASSED),
            Self::Render(command) => command.run().map(|()| exit_code::PASSED),
            Self::Diff(command) => command.run(),
            Self::Values(command) => command.run().map(|()| exit_code::PASSED),
            Self::Schema(command) => command.run().map(|()| exit_code::PASSED),
            Self::Cluster(command) => command.run().await.map(|()| exit_code::PASSED),
            Self::Completions(command) => command.run().map(|()| exit_code::PASSED),
            Self::Man(command) => command.run(Cli::command()).map(|()| exit_code::PASSED),
        }
    }
}

/// Warnings of the program's parts go to standard error; `PREFECT_E2E_LOG` asks for more. What the API
/// server answers is the steps' to tell.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("PREFECT_E2E_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,kube_client=off,chromiumoxide=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_span_events(FmtSpan::NONE)
        .without_time()
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
