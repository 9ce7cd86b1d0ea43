//! Forking, signals and user namespaces of single-threaded processes.
#![expect(unsafe_code, reason = "fork, signals and terminals have no safe interface")]

use std::{
    fs, io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::{SigHandler, SigSet, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, Uid, fork, getegid, geteuid},
};

use crate::error::{Context as _, SandboxError};

/// The exit code of a helper that could not do its work, as container runtimes use it.
pub(crate) const CANNOT_START: i32 = 128;

/// Ends this process when its parent ends.
pub(crate) fn die_with_parent() -> Result<(), SandboxError> {
    prctl::set_pdeathsig(Signal::SIGKILL).trying(|| "cannot tie this process to its parent".into())
}

/// Runs `child` in a new process and returns its identifier.
///
/// The process must have one thread; helper processes do.
pub(crate) fn fork_into(child: impl FnOnce() -> i32) -> Result<Pid, SandboxError> {
    // SAFETY: the helper processes that call this have never started a thread (`dispatch` runs first in
    // `main`), so the child may do all that the parent may.
    match unsafe { fork() }.trying(|| "cannot fork".into())? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => std::process::exit(child()),
    }
}

/// Makes the terminal at `terminal` the controlling one of this process, which leads its session.
pub(crate) fn take_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer argument and no pointer; the descriptor is open while borrowed.
    let result = unsafe { nix::libc::ioctl(terminal.as_raw_fd(), nix::libc::TIOCSCTTY, 0) };
    nix::errno::Errno::result(result)
        .map(drop)
        .map_err(io::Error::from)
}

/// Tells the terminal behind `terminal` its size.
pub(crate) fn set_terminal_size(terminal: BorrowedFd<'_>, columns: u16, rows: u16) -> io::Result<()> {
    let size = nix::libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads one `winsize`, which outlives the call; the descriptor is open while borrowed.
    let result = unsafe { nix::libc::ioctl(terminal.as_raw_fd(), nix::libc::TIOCSWINSZ, &raw const size) };
    nix::errno::Errno::result(result)
        .map(drop)
        .map_err(io::Error::from)
}

/// Passes signals on to `child` until it ends; gives its exit code, 128 + N for signal N.
///
/// `reap_all` collects orphans too, as the first process of a pid namespace must.
pub(crate) fn supervise(child: Pid, signal_target: Pid, reap_all: bool) -> Result<i32, SandboxError> {
    let all = SigSet::all();
    all.thread_block().trying(|| "cannot block signals".into())?;
    loop {
        if let Some(code) = reap(child, reap_all)? {
            return Ok(code);
        }
        match all.wait().trying(|| "cannot wait for signals".into())? {
            Signal::SIGCHLD => {}
            // a child that has just ended needs no signal
            signal => drop(kill(signal_target, signal)),
        }
    }
}

/// Collects ended children; gives the exit code of `child` once it has ended.
fn reap(child: Pid, reap_all: bool) -> Result<Option<i32>, SandboxError> {
    let whom = if reap_all { None } else { Some(child) };
    let mut code = None;
    loop {
        match waitpid(whom, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => code = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::ECHILD) => return Ok(code),
            Ok(_) => {}
            Err(error) => return Err(SandboxError::system("cannot wait for a process", error)),
        }
        if code.is_some() && !reap_all {
            return Ok(code);
        }
    }
}

/// Gives all signals their usual effect again, before another program is executed: whoever started this
/// one may have blocked or ignored some, as shells do for SIGINT in the background.
pub(crate) fn reset_signals() -> Result<(), SandboxError> {
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            // SAFETY: no handler is installed that could run, only the default is put back.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }
                .trying(|| format!("cannot reset {signal}"))?;
        }
    }
    SigSet::all()
        .thread_unblock()
        .trying(|| "cannot unblock signals".into())
}

/// Whether this process has more than one user to give to containers.
pub(crate) fn has_all_ids() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok())
        .sum::<u64>()
        >= 65536
}

/// Enters a new user namespace in which this process's only user and group are `user` and `group`.
pub(crate) fn enter_user_namespace(user: u32, group: u32) -> Result<(), SandboxError> {
    let (outer_user, outer_group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| why_not(outer_user, errno.into()))?;
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).trying(|| format!("cannot write /proc/self/{file}"))
    };
    // without this a process could leave a group that denies it something
    write("setgroups", "deny".into())?;
    write("uid_map", format!("{user} {outer_user} 1\n"))?;
    write("gid_map", format!("{group} {outer_group} 1\n"))
}

/// Which setting forbids user namespaces, and what allows them.
fn why_not(user: Uid, source: io::Error) -> SandboxError {
    let setting =
        |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).map(|text| text.trim().to_owned());
    let settings = [
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user/max_user_namespaces", "0", "10000"),
    ];
    for (name, forbids, allows) in settings {
        if setting(name).is_ok_and(|value| value == forbids) {
            let dotted = name.replace('/', ".");
            return SandboxError::NoUserNamespaces {
                reason: format!("{dotted} is {forbids}"),
                remedy: format!("`sudo sysctl -w {dotted}={allows}` allows it"),
                source,
            };
        }
    }
    SandboxError::NoUserNamespaces {
        reason: format!("unshare failed for user {user}"),
        remedy: "a container or a security module may forbid it; allow user namespaces there".into(),
        source,
    }
}
