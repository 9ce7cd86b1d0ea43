//! Nothing stays when the program that started a cluster is killed; and an ordinary user is enough.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::PostParams,
    runtime::{conditions::is_pod_running, wait::await_condition},
};
use serde_json::json;

use crate::suite::{Failure, expect, pod, start_cluster};

/// Set for the program that starts a cluster to be killed.
pub(crate) const HOLD: &str = "PREFECT_E2E_TEST_HOLD";

/// Set for the run of this program as an ordinary user.
const ORDINARY: &str = "PREFECT_E2E_TEST_ORDINARY";

/// `nobody` on most systems; any user that owns nothing will do.
const NOBODY: u32 = 65534;

/// What the pod of the killed cluster is known by among all processes.
const MARK: &str = "8765432.1";

/// Starts a cluster with a pod, tells its port, and waits to be killed.
pub(crate) fn hold() -> ExitCode {
    let held = tokio::runtime::Runtime::new().map(|runtime| {
        runtime.block_on(async {
            let cluster = start_cluster().await?;
            let pods: Api<Pod> = Api::default_namespaced(cluster.client().await?);
            let sleeper = serde_json::from_value(pod("p", &format!("sleep {MARK}"), &json!({}), &json!({})))?;
            pods.create(&PostParams::default(), &sleeper).await?;
            await_condition(pods, "p", is_pod_running()).await?;
            cluster.expose(9).await?;
            println!("{}", cluster.address());
            std::future::pending::<Result<(), Failure>>().await
        })
    });
    eprintln!("the cluster to be killed did not start: {held:?}");
    ExitCode::FAILURE
}

pub(crate) fn kill_9() -> Result<(), Failure> {
    let temporary = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?)
        .env(HOLD, "1")
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let address = address.trim();
    TcpStream::connect(address)?;
    expect(!sleepers()?.is_empty(), || "the pod does not run".into())?;
    child.kill()?;
    child.wait()?;
    let begun = Instant::now();
    while !sleepers()?.is_empty() || TcpStream::connect(address).is_ok() {
        expect(begun.elapsed() < Duration::from_secs(10), || {
            format!("{:?} are left", sleepers())
        })?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let left: Vec<_> = fs::read_dir(temporary.path())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    expect(left.is_empty(), || format!("{left:?} is left in TMPDIR"))
}

/// The processes of the killed cluster's pod.
fn sleepers() -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let command = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if command.contains(MARK) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

pub(crate) fn as_an_ordinary_user() -> Result<(), Failure> {
    if std::env::var_os(ORDINARY).is_some() || !is_root()? {
        return Ok(());
    }
    let home = tempfile::Builder::new()
        .prefix("prefect-e2e-test-")
        .tempdir_in("/tmp")?;
    let program = home.path().join("cluster");
    fs::copy(std::env::current_exe()?, &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::chown(home.path(), Some(NOBODY), Some(NOBODY))?;
    let output = ordinary(&program, home.path()).output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if let Some(skipped) = told.lines().find(|line| line.starts_with("skipped: ")) {
        println!("as an ordinary user: {skipped}");
    }
    let failures = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(output.status.success(), || format!("{told}\n{failures}"))
}

fn ordinary(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .env(ORDINARY, "1");
    command.env("HOME", home).env("TMPDIR", home).stdin(Stdio::null());
    for variable in [
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "XDG_RUNTIME_DIR",
        "KUBECONFIG",
    ] {
        command.env_remove(variable);
    }
    command
}

fn is_root() -> Result<bool, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    Ok(users.is_some_and(|users| users.split_whitespace().nth(1) == Some("0")))
}
