//! What can go wrong between the program and the kernel.

use std::{io, path::PathBuf};

/// The kernel, or the machine's configuration, refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A system call failed.
    #[error("{action}")]
    System {
        /// What was tried.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// An ordinary user may not make user namespaces here.
    #[error(
        "this kernel does not let an ordinary user make user namespaces ({reason}); {remedy}, or run as root, \
         or name a cluster with `--target kubeconfig`"
    )]
    NoUserNamespaces {
        /// The setting that forbids it.
        reason: String,
        /// What allows it.
        remedy: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The pod network could not be made.
    #[error("cannot make the pod network: {action}")]
    Network {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: Box<rtnetlink::Error>,
    },
    /// The program in the container could not be executed.
    #[error("exec: {program:?}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// `executable file not found in $PATH` and the like.
        reason: String,
    },
    /// A spec written by this program could not be read back.
    #[error("cannot read {}", path.display())]
    Spec {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: io::Error,
    },
}

impl SandboxError {
    pub(crate) fn system(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System {
            action: action.into(),
            source: source.into(),
        }
    }
}

/// Adds to the kernel's error what was tried.
pub(crate) trait Context<T> {
    fn trying(self, action: impl FnOnce() -> String) -> Result<T, SandboxError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn trying(self, action: impl FnOnce() -> String) -> Result<T, SandboxError> {
        self.map_err(|error| SandboxError::system(action(), error))
    }
}

/// The message of an error and of what caused it.
pub(crate) fn whole_message(error: &SandboxError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
