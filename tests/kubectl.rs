//! A person looks at the embedded cluster with real `kubectl`.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use prefect_e2e_renderer::{Layers, Release, render, to_yaml};
use prefect_e2e_tests::{program, root, skip, suite};

/// A standing cluster of a state directory of its own.
struct Standing {
    process: Child,
    directory: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Standing {
    fn up() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new(program())
            .args(["cluster", "up"])
            .env("XDG_STATE_HOME", directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let kubeconfig = line
            .trim()
            .strip_prefix("export KUBECONFIG=")
            .expect("the line for the shell")
            .into();
        Self {
            process,
            directory,
            kubeconfig,
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).stdin(Stdio::null()).output().unwrap()
    }

    /// What kubectl prints when it succeeds.
    fn kubectl(&self, line: &str) -> String {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {line}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn expect(&self, line: &str, parts: &[&str]) -> String {
        let printed = self.kubectl(line);
        for part in parts {
            assert!(
                printed.contains(part),
                "kubectl {line} does not print {part:?}:\n{printed}"
            );
        }
        printed
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.process.wait().unwrap();
    }
}

/// The objects of the scenario `sqlite`, as `prefect-e2e render` prints them.
fn rendered(directory: &std::path::Path) -> PathBuf {
    let scenario = prefect_e2e_scenarios::load(&root().join("scenarios/sqlite.yaml")).unwrap();
    let mut layers = Layers::default();
    layers.value("sqlite", scenario.file.values.into()).unwrap();
    let objects = render(
        &Release::new("prefect-server", "prefect"),
        &layers.values().unwrap(),
    )
    .unwrap();
    let path = directory.join("rendered.yaml");
    std::fs::write(&path, to_yaml(&objects)).unwrap();
    path
}

fn is_there() -> bool {
    Command::new("kubectl")
        .args(["version", "--client"])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn everything_that_a_person_does_works() {
    if !is_there() {
        skip("kubectl is not on the PATH; on Debian `apt-get install kubernetes-client` installs it");
        return;
    }
    if let Err(reason) = suite() {
        skip(reason);
        return;
    }
    let cluster = Standing::up();
    let file = rendered(cluster.directory.path());
    let apply = format!("apply -n prefect -f {}", file.display());
    cluster.expect("create namespace prefect", &["namespace/prefect created"]);
    cluster.expect(
        &apply,
        &[
            "deployment.apps/prefect-server created",
            "service/prefect-server created",
        ],
    );
    let again = cluster.kubectl(&apply);
    assert!(again.lines().all(|line| line.ends_with(" unchanged")), "{again}");

    cluster.expect(
        "rollout status -n prefect deployment/prefect-server --timeout=180s",
        &["successfully rolled out"],
    );
    cluster.expect(
        "wait -n prefect --for=condition=Ready pod --all --timeout=60s",
        &["condition met"],
    );
    look(&cluster);
    logs_are_followed(&cluster);
    port_is_forwarded(&cluster);
    deployment_changes(&cluster);
    cluster.expect("delete -n prefect deployment prefect-server", &["deleted"]);
    cluster.expect("wait -n prefect --for=delete pod --all --timeout=60s", &[]);
    cluster.expect("delete namespace prefect", &["deleted"]);
}

fn look(cluster: &Standing) {
    cluster.expect(
        "get all,pvc,events -A",
        &[
            "pod/prefect-server-",
            "service/prefect-server",
            "deployment.apps/prefect-server",
            "replicaset.apps/",
            "persistentvolumeclaim/prefect-server-sqlite",
            "Bound",
            "Scheduled",
            "Started",
        ],
    );
    cluster.expect("get pods -n prefect -o wide", &["1/1", "Running", "10.244.0."]);
    cluster.expect(
        "describe pod -n prefect",
        &[
            "Service Account:  prefect-server",
            "Mounts:",
            "Events:",
            "Scheduled",
        ],
    );
    let identity = cluster.run("exec -n prefect deployment/prefect-server -- sh -c id;touch${IFS}/x");
    let said =
        String::from_utf8_lossy(&identity.stdout).into_owned() + &String::from_utf8_lossy(&identity.stderr);
    assert!(said.contains("uid=1001"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(said.contains("command terminated with exit code 1"), "{said}");
    assert_eq!(identity.status.code(), Some(1));
}

fn logs_are_followed(cluster: &Standing) {
    let mut follow = cluster
        .command("logs -n prefect -f deployment/prefect-server")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let found = lines
        .take(100)
        .any(|line| line.contains("Check out the dashboard"));
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert!(found, "the log of the server");
}

/// kubectl ends when the pod refuses a connection, as it does until its server listens.
fn port_is_forwarded(cluster: &Standing) {
    let begin = Instant::now();
    let mut answer = String::new();
    while !answer.contains("200 OK") && begin.elapsed() < Duration::from_secs(90) {
        answer = ask_by_forward(cluster);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(answer.contains("200 OK"), "{answer}");
}

fn ask_by_forward(cluster: &Standing) -> String {
    let mut forward = cluster
        .command("port-forward -n prefect service/prefect-server :4200")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // kubectl ends when nobody reads what it says of connections
    let mut output = BufReader::new(forward.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let port = line
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    let answer = ask(port.expect("the port in the first line"));
    forward.kill().unwrap();
    forward.wait().unwrap();
    answer
}

fn ask(port: u16) -> String {
    let mut answer = String::new();
    if let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        let _ =
            connection.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let _ = connection.read_to_string(&mut answer);
    }
    answer
}

fn deployment_changes(cluster: &Standing) {
    let pods = || cluster.kubectl("get pods -n prefect -o name");
    let before = pods();
    cluster.expect(
        "rollout restart -n prefect deployment/prefect-server",
        &["restarted"],
    );
    cluster.expect(
        "rollout status -n prefect deployment/prefect-server --timeout=120s",
        &["successfully rolled out"],
    );
    assert_ne!(pods(), before);
    cluster.expect(
        "rollout history -n prefect deployment/prefect-server",
        &["1", "2"],
    );
    cluster.expect(
        "scale -n prefect deployment/prefect-server --replicas=0",
        &["scaled"],
    );
    cluster.expect("wait -n prefect --for=delete pod --all --timeout=60s", &[]);
    cluster.expect("get deployment -n prefect", &["0/0"]);
}
