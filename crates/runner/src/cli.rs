//! The command line: what there is to do, and how it ends.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use miette::{IntoDiagnostic as _, WrapErr as _};
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

use crate::{
    clean_command::CleanCommand,
    cluster_command::ClusterCommand,
    completions_command::{COMPLETING, CompletionsCommand},
    coverage_command::CoverageCommand,
    diff_command::DiffCommand,
    doctor_command::DoctorCommand,
    exit_code,
    lint_command::LintCommand,
    list_command::ListCommand,
    man_command::ManCommand,
    new_command::NewCommand,
    render_command::RenderCommand,
    run_command::RunCommand,
    schema_command::SchemaCommand,
    values_command::ValuesCommand,
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
    let cli = Cli::parse();
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime
        .into_diagnostic()
        .wrap_err("cannot start the program's threads")
        .and_then(|runtime| runtime.block_on(cli.command.run()));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::from(exit_code::UNUSABLE)
        }
    }
}

impl Command {
    async fn run(self) -> miette::Result<u8> {
        match self {
            Self::Run(command) => command.run().await,
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
