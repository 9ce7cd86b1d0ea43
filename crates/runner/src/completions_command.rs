//! `prefect-e2e completions`: what makes a shell ask this program for completions.

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;
use miette::{IntoDiagnostic as _, miette};

use crate::stdout::print;

/// The variable by which a shell asks for completions.
pub(crate) const COMPLETING: &str = "PREFECT_E2E_COMPLETE";

/// Which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsCommand {
    /// The shell; its start-up file evaluates what is printed: `source <(prefect-e2e completions bash)`
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl CompletionsCommand {
    pub(crate) fn run(self) -> miette::Result<()> {
        let shell = match self.shell {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        };
        let shells = Shells::builtins();
        let completer = shells
            .completer(shell)
            .ok_or_else(|| miette!("{shell} is not known"))?;
        let name = "prefect-e2e";
        let mut script = Vec::new();
        completer
            .write_registration(COMPLETING, name, name, name, &mut script)
            .into_diagnostic()?;
        print(&String::from_utf8_lossy(&script))
    }
}
