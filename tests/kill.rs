//! `kill -9` of the runner, at any moment, leaves nothing: no process, mount, network namespace,
//! listening port or half-made image.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use prefect_e2e_tests::{command, skip, suite};
use rstest::rstest;

/// How long the kernel may take to end what belonged to a killed process.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process, known by when it started, too: identifiers are used again.
type Process = (i32, String);

/// What was running when the runner was killed.
struct Belongings {
    processes: BTreeSet<Process>,
    sockets: BTreeSet<String>,
    namespaces: BTreeSet<PathBuf>,
}

fn stat(pid: i32) -> Option<(i32, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    (fields[0] != "Z").then(|| (fields[1].parse().unwrap_or_default(), fields[19].to_owned()))
}

fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn descendants(of: i32) -> BTreeSet<Process> {
    let all: Vec<(i32, i32, String)> = processes()
        .into_iter()
        .filter_map(|pid| stat(pid).map(|(parent, start)| (pid, parent, start)))
        .collect();
    let mut found: BTreeSet<i32> = BTreeSet::from([of]);
    loop {
        let before = found.len();
        found.extend(
            all.iter()
                .filter(|(_, parent, _)| found.contains(parent))
                .map(|(pid, ..)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            break;
        }
    }
    all.into_iter()
        .filter(|(pid, ..)| found.contains(pid))
        .map(|(pid, _, start)| (pid, start))
        .collect()
}

fn listening() -> BTreeSet<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
    fields
        .filter(|fields| fields.get(3) == Some(&"0A"))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect()
}

fn belongings(runner: i32) -> Belongings {
    let processes = descendants(runner);
    let all_listening = listening();
    let mut sockets = BTreeSet::new();
    let mut namespaces = BTreeSet::new();
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    for (pid, _) in &processes {
        let links = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
        sockets.extend(
            links
                .map(|link| link.display().to_string())
                .filter(|link| all_listening.contains(link)),
        );
        namespaces.extend(
            fs::read_link(format!("/proc/{pid}/ns/net"))
                .ok()
                .filter(|namespace| *namespace != own),
        );
    }
    Belongings {
        processes,
        sockets,
        namespaces,
    }
}

impl Belongings {
    fn left(&self) -> Option<String> {
        let alive = |(pid, start): &&Process| stat(*pid).is_some_and(|(_, now)| now == *start);
        if let Some((pid, _)) = self.processes.iter().find(alive) {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            return Some(format!("process {pid}: {}", command.replace('\0', " ")));
        }
        if let Some(socket) = self.sockets.intersection(&listening()).next() {
            return Some(format!("a listening {socket}"));
        }
        let used = processes()
            .into_iter()
            .filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).ok());
        let used: BTreeSet<PathBuf> = used.collect();
        self.namespaces
            .intersection(&used)
            .next()
            .map(|namespace| format!("namespace {}", namespace.display()))
    }
}

fn mounts() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table
        .lines()
        .filter(|line| line.contains("prefect-e2e"))
        .map(str::to_owned)
        .collect()
}

fn start(scenario: &str, cache: Option<&Path>, directory: &Path) -> Child {
    let mut command = command(directory);
    command
        .args(["run", scenario, "--target", "embedded"])
        .env("TMPDIR", directory);
    if let Some(cache) = cache {
        command.env("XDG_CACHE_HOME", cache);
    }
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the runner after `moment` and waits until all that belonged to it is gone.
fn kill_after(mut runner: Child, moment: Duration) {
    let pid = i32::try_from(runner.id()).unwrap();
    std::thread::sleep(moment);
    let belongings = belongings(pid);
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    runner.wait().unwrap();
    let begin = Instant::now();
    while let Some(left) = belongings.left() {
        assert!(
            begin.elapsed() < PATIENCE,
            "{moment:?} after its start: left is {left}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[rstest]
#[case::at_once(&[0, 20, 60])]
#[case::while_the_cluster_starts(&[120, 300, 700])]
#[case::while_the_server_boots(&[1500, 4000])]
#[case::later(&[9000, 25000])]
fn nothing_is_left(#[case] moments: &[u64]) {
    if let Err(reason) = suite() {
        skip(reason);
        return;
    }
    let before = mounts();
    for moment in moments {
        // no two runs are killed at the same moment
        let jitter = u64::from(std::process::id()) % 20;
        let directory = tempfile::tempdir().unwrap();
        kill_after(
            start("sqlite", None, directory.path()),
            Duration::from_millis(moment + jitter),
        );
        assert_eq!(mounts(), before);
    }
}

#[test]
fn no_database_is_left() {
    if let Err(reason) = suite() {
        skip(reason);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    kill_after(
        start("external-postgres", None, directory.path()),
        Duration::from_secs(8),
    );
}

#[test]
fn a_half_made_image_is_removed_by_the_next_run() {
    if let Err(reason) = suite() {
        skip(reason);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    kill_after(
        start("sqlite", Some(&cache), directory.path()),
        Duration::from_secs(5),
    );
    let images = cache.join("prefect-e2e/images");
    let drafts = || {
        let entries = fs::read_dir(&images).into_iter().flatten().filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".building-"))
            .count()
    };
    // whoever opens the cache next sweeps it, before anything is made
    let mut next = start("sqlite", Some(&cache), directory.path());
    std::thread::sleep(Duration::from_millis(10));
    kill(Pid::from_raw(i32::try_from(next.id()).unwrap()), Signal::SIGKILL).unwrap();
    next.wait().unwrap();
    let last = start("missing-auth-secret", Some(&cache), directory.path())
        .wait()
        .unwrap();
    assert!(last.code().is_some(), "the run ends by itself");
    assert_eq!(drafts(), 0);
}
