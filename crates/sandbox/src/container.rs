//! The two processes of a container: the outer one makes it and passes signals on, the inner one is
//! its first process.

use std::{
    ffi::{CString, OsStr},
    fs::{self, File},
    io::Read as _,
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, stat::Mode},
    unistd::{Gid, Uid, chdir, execve, pipe2, setgid, setgroups, setuid},
};

use crate::{
    capability,
    error::{Context as _, SandboxError, whole_message},
    mount, process,
    process::CANNOT_START,
    report::ReportWriter,
    rootfs,
    spec::{ContainerSpec, Identity, Namespaces},
    terminal,
};

/// The outer process. Gives the container's exit code.
pub(crate) fn main(spec: &Path) -> i32 {
    let spec: ContainerSpec = match read(spec) {
        Ok(spec) => spec,
        Err(error) => {
            eprintln!("prefect-e2e: {}", whole_message(&error));
            return CANNOT_START;
        }
    };
    let report = match ReportWriter::open(&spec.report) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("prefect-e2e: {}", whole_message(&error));
            return CANNOT_START;
        }
    };
    run(&spec, &report).unwrap_or_else(|error| {
        report.failed(&error);
        CANNOT_START
    })
}

/// Reads a spec written by the node.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, SandboxError> {
    let failed = |source| SandboxError::Spec {
        path: path.to_owned(),
        source,
    };
    let text = fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| failed(error.into()))
}

fn run(spec: &ContainerSpec, report: &ReportWriter) -> Result<i32, SandboxError> {
    process::die_with_parent()?;
    enter_pod(&spec.namespaces)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .trying(|| "cannot make the container's namespaces".into())?;
    mount::make_private()?;
    let root = rootfs::assemble(spec)?;
    // closed by the kernel when the program is executed
    let (executed, until_executed) = pipe2(OFlag::O_CLOEXEC).trying(|| "cannot make a pipe".into())?;
    let child = process::fork_into(|| match become_first(spec, &root) {
        Ok(never) => match never {},
        Err(error) => {
            report.failed(&error);
            CANNOT_START
        }
    })?;
    drop(until_executed);
    // the end of the pipe is all that comes through it
    let _ = File::from(executed).read(&mut [0]);
    report.started(child.as_raw())?;
    process::supervise(child, child, false)
}

fn enter_pod(namespaces: &Namespaces) -> Result<(), SandboxError> {
    let all = [
        (&namespaces.network, CloneFlags::CLONE_NEWNET),
        (&namespaces.ipc, CloneFlags::CLONE_NEWIPC),
        (&namespaces.uts, CloneFlags::CLONE_NEWUTS),
    ];
    for (path, kind) in all {
        let enter = || setns(File::open(path)?.as_fd(), kind).map_err(std::io::Error::from);
        enter().trying(|| format!("cannot enter the pod's namespace {}", path.display()))?;
    }
    Ok(())
}

/// The inner process: closes the root behind it and becomes the program.
fn become_first(spec: &ContainerSpec, root: &Path) -> Result<std::convert::Infallible, SandboxError> {
    process::die_with_parent()?;
    rootfs::seal(spec, root)?;
    mount::pivot(root)?;
    if spec.terminal {
        terminal::take()?;
    }
    become_user(&spec.identity)?;
    chdir(&spec.working_dir).trying(|| format!("cannot enter {}", spec.working_dir.display()))?;
    execute(&spec.command, &spec.env)
}

/// Takes the container's user and gives up what it may not do.
pub(crate) fn become_user(identity: &Identity) -> Result<(), SandboxError> {
    capability::keep_only(&identity.capabilities)?;
    if process::has_all_ids() {
        let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups).trying(|| "cannot take the groups".into())?;
        setgid(Gid::from_raw(identity.group)).trying(|| format!("cannot take group {}", identity.group))?;
        setuid(Uid::from_raw(identity.user)).trying(|| format!("cannot take user {}", identity.user))?;
    } else {
        process::enter_user_namespace(identity.user, identity.group)?;
        capability::keep_only(&identity.capabilities)?;
    }
    if !identity.may_gain_rights {
        prctl::set_no_new_privs().trying(|| "cannot forbid gaining rights".into())?;
    }
    // taking another user has cleared it
    process::die_with_parent()
}

/// Becomes the program; returns only if that fails.
pub(crate) fn execute(
    command: &[String],
    env: &[(String, String)],
) -> Result<std::convert::Infallible, SandboxError> {
    let program = command.first().map(String::as_str).unwrap_or_default();
    let path = find_program(program, env)?;
    let text = |text: &OsStr| CString::new(text.as_bytes()).trying(|| "an argument holds a zero byte".into());
    let arguments = command
        .iter()
        .map(|argument| text(argument.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    let variables = env
        .iter()
        .map(|(name, value)| text(format!("{name}={value}").as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    nix::sys::stat::umask(Mode::S_IWGRP | Mode::S_IWOTH);
    process::reset_signals()?;
    execve(&text(path.as_os_str())?, &arguments, &variables).map_err(|errno| SandboxError::Program {
        program: program.to_owned(),
        reason: std::io::Error::from(errno).to_string(),
    })
}

/// The program's path: as it is if it has a slash, else looked for along the environment's `PATH`.
fn find_program(program: &str, env: &[(String, String)]) -> Result<PathBuf, SandboxError> {
    let missing = |reason: &str| SandboxError::Program {
        program: program.into(),
        reason: reason.into(),
    };
    if program.contains('/') {
        let path = PathBuf::from(program);
        return if path.exists() {
            Ok(path)
        } else {
            Err(missing("no such file or directory"))
        };
    }
    let default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let path = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map_or(default, |(_, value)| value);
    path.split(':')
        .map(|directory| Path::new(directory).join(program))
        .find(|candidate| !program.is_empty() && candidate.is_file())
        .ok_or_else(|| missing("executable file not found in $PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_the_containers_own_path() {
        let env = |path: &str| vec![("PATH".to_owned(), path.to_owned())];
        assert_eq!(
            find_program("sh", &env("/nowhere:/bin")).unwrap(),
            Path::new("/bin/sh")
        );
        let error = find_program("sh", &env("/nowhere")).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"exec: "sh": executable file not found in $PATH"#
        );
        assert!(find_program("", &env("/bin")).is_err());
        assert!(find_program("/nowhere/sh", &env("/bin")).is_err());
    }
}
