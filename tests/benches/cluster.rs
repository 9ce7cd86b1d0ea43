//! `make bench`: the embedded cluster's start and memory, and a run against the same server bare.
//!
//! Each line is a measurement or a ratio within this one run; machines are shared and noisy.

use std::{
    fs,
    io::BufRead as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use prefect_e2e::event::{Event, Happening};
use prefect_e2e_images::ImageStore;
use prefect_e2e_tests::{program, root};

const IMAGE: &str = "prefecthq/prefect:3-latest";
const STARTS: usize = 5;

fn main() {
    // `cargo test --benches` only wants to know that this builds
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    start_and_memory();
    let mut ratios: Vec<f64> = (0..3).map(|_| against_bare()).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "first healthy answer through the Service / bare server, median of 3: {:.2} (limit 1.15)",
        ratios[1]
    );
}

/// `cluster up` until it prints its line: the API answers and the node is Ready.
fn start_and_memory() {
    let mut starts = Vec::new();
    let mut memory = 0;
    for _ in 0..STARTS {
        let directory = tempfile::tempdir().expect("a directory");
        let begin = Instant::now();
        let mut cluster = Command::new(program())
            .args(["cluster", "up"])
            .env("XDG_STATE_HOME", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let output = cluster.stdout.take().expect("its output");
        std::io::BufReader::new(output)
            .read_line(&mut line)
            .expect("its line");
        starts.push(begin.elapsed());
        // what it takes once it has settled
        std::thread::sleep(Duration::from_secs(1));
        memory = resident_kib(cluster.id());
        end(&mut cluster);
    }
    starts.sort();
    println!(
        "cluster start until API and node are ready, median of {STARTS}: {:.3} s (limit 0.5 s)",
        starts[STARTS / 2].as_secs_f64()
    );
    println!(
        "memory of the cluster without pods: {} MB resident (limit 60 MB)",
        memory / 1024
    );
}

/// The resident memory of the processes below `pid`: the cluster, without the program that started it.
fn resident_kib(pid: u32) -> u64 {
    children(pid)
        .into_iter()
        .map(|child| own_kib(child) + resident_kib(child))
        .sum()
}

fn own_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn end(process: &mut Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).expect("a process identifier"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it is told to end");
    process.wait().expect("it ends");
}

/// The same server with and without a cluster around it.
fn against_bare() -> f64 {
    let image = ImageStore::open(None).expect("the cache").find(IMAGE);
    let Some(image) = image else {
        println!("skipped: the image {IMAGE} is not made yet; `make e2e SCENARIO=sqlite` makes it");
        return f64::NAN;
    };
    let bare = bare(&image.root);
    let deployed = deployed();
    let ratio = deployed.as_secs_f64() / bare.as_secs_f64();
    println!(
        "bare {:.1} s, deployed {:.1} s: {ratio:.2}",
        bare.as_secs_f64(),
        deployed.as_secs_f64()
    );
    ratio
}

/// `prefect server start` from the image's virtual environment until it is healthy.
fn bare(image: &Path) -> Duration {
    let home = tempfile::tempdir().expect("a directory");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|free| free.local_addr())
        .expect("a port")
        .port();
    let python: PathBuf = image.join("opt/venv/bin/python");
    let begin = Instant::now();
    let mut server = Command::new(python)
        .args(["-m", "prefect", "server", "start", "--port", &port.to_string()])
        .env("HOME", home.path())
        .env("PREFECT_HOME", home.path())
        .env("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        .env("PREFECT_UI_STATIC_DIRECTORY", home.path().join("ui"))
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    while !is_healthy(port) {
        assert!(
            begin.elapsed() < Duration::from_secs(300),
            "the bare server does not get healthy"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = begin.elapsed();
    end(&mut server);
    took
}

fn is_healthy(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    let mut answer = String::new();
    let asked =
        connection.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    asked
        .and_then(|()| connection.read_to_string(&mut answer))
        .is_ok()
        && answer.contains(" 200 ")
}

/// From the start of `prefect-e2e run sqlite` to the first healthy answer through the Service.
fn deployed() -> Duration {
    let directory = tempfile::tempdir().expect("a directory");
    let events = directory.path().join("events.ndjson");
    let begin = Instant::now();
    let started = std::time::SystemTime::now();
    let mut run = Command::new(program())
        .args(["run", "sqlite", "--target", "embedded", "--events"])
        .arg(&events)
        .current_dir(root())
        .env("XDG_STATE_HOME", directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the run starts");
    let healthy = loop {
        let text = fs::read_to_string(&events).unwrap_or_default();
        let ended = text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok()).find(|event| {
            matches!(&event.what, Happening::StepEnded { step, .. } if step == "healthy through the Service")
        });
        if let Some(event) = ended {
            break std::time::SystemTime::from(event.time)
                .duration_since(started)
                .expect("time goes on");
        }
        assert!(
            begin.elapsed() < Duration::from_secs(300),
            "the run does not get healthy"
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    // SIGTERM ends it in order
    end(&mut run);
    healthy
}
