//! Pseudo-terminals: what is written to one end is read at the other.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::Stdio,
};

use nix::{pty::openpty, unistd::setsid};

use crate::{
    error::{Context as _, SandboxError},
    process,
};

/// The user's end of a terminal.
#[derive(Debug)]
pub struct Terminal {
    near: OwnedFd,
}

impl Terminal {
    /// Opens a new terminal; gives it and the three streams of the program at its other end. The
    /// terminal ends when all of them are closed.
    ///
    /// # Errors
    /// When the system has none left.
    pub fn open() -> io::Result<(Self, [Stdio; 3])> {
        let pair = openpty(None, None)?;
        let far = pair.slave;
        let streams = [far.try_clone()?.into(), far.try_clone()?.into(), far.into()];
        Ok((Self { near: pair.master }, streams))
    }

    /// Reads the program's output, writes its input.
    ///
    /// # Errors
    /// When the process has too many files open.
    pub fn user_end(&self) -> io::Result<File> {
        Ok(self.near.try_clone()?.into())
    }

    /// Sets the size, in characters.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        process::set_terminal_size(self.near.as_fd(), columns, rows)
    }
}

/// Makes the terminal at standard input the controlling one of this process.
pub(crate) fn take() -> Result<(), SandboxError> {
    setsid().trying(|| "cannot lead a session".into())?;
    process::take_terminal(io::stdin().as_fd()).trying(|| "cannot take the terminal".into())
}
