//! A first process for containers: passes signals on and collects orphans, as `tini` does.
//!
//! Images of the recipe have this program at `/usr/bin/tini`, where the chart expects it.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use nix::unistd::{Pid, setpgid};

use crate::{error::whole_message, process};

/// Runs `[-g] [--] COMMAND…`; with `-g` signals go to the whole process group of the command.
pub(crate) fn main(arguments: &[OsString]) -> i32 {
    let options = arguments
        .iter()
        .take_while(|argument| argument.to_string_lossy().starts_with('-'));
    let options: Vec<OsString> = options.cloned().collect();
    if let Some(unknown) = options
        .iter()
        .find(|option| !matches!(option.to_str(), Some("-g" | "--")))
    {
        eprintln!("tini: unknown option {}: known are -g and --", unknown.display());
        return 1;
    }
    let to_group = options.iter().any(|option| option == "-g");
    let Some((program, rest)) = arguments[options.len()..].split_first() else {
        eprintln!("tini: no command given");
        return 1;
    };
    let run = || {
        let child = process::fork_into(|| {
            // a group of its own, so that signals can go to all of it
            let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            if process::reset_signals().is_err() {
                return 1;
            }
            let error = Command::new(program).args(rest).exec();
            eprintln!("tini: exec {} failed: {error}", program.display());
            if error.kind() == std::io::ErrorKind::NotFound {
                127
            } else {
                126
            }
        })?;
        let target = if to_group {
            Pid::from_raw(-child.as_raw())
        } else {
            child
        };
        process::supervise(child, target, true)
    };
    run().unwrap_or_else(|error| {
        eprintln!("tini: {}", whole_message(&error));
        1
    })
}
