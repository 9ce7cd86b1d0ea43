//! Ties a command to the program that runs it.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use crate::{error::whole_message, process};

/// Becomes `PROGRAM ARGUMENTS…`, which the kernel kills when the thread that started it ends.
pub(crate) fn main(mut command: impl Iterator<Item = OsString>) -> i32 {
    let Some(program) = command.next() else {
        eprintln!("prefect-e2e: no command to guard");
        return 1;
    };
    if let Err(error) = process::die_with_parent() {
        eprintln!("prefect-e2e: {}", whole_message(&error));
        return 1;
    }
    let error = Command::new(&program).args(command).exec();
    eprintln!("{}: {error}", program.display());
    127
}
