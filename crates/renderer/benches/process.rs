//! The renderer as a process beside `helm template`, in the same run. The aim is a fifteenth of helm's
//! time.
//!
//! Measured are the `prefect-e2e` command of the release profile (or PREFECT_E2E), and helm with the
//! chart of PREFECT_E2E_CHART; without that, with a chart of one small template, which is less work
//! than the real one. What is not there is left out with a line that says so.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use divan::Bencher;

fn main() {
    divan::main();
}

fn measure(bencher: Bencher<'_, '_>, command: impl Fn() -> Command + Sync) {
    let status = command().stdout(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("left out: {:?} does not run", command());
        return;
    }
    bencher.bench(|| command().output());
}

#[divan::bench(sample_count = 30, sample_size = 1)]
fn prefect_e2e(bencher: Bencher<'_, '_>) {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/prefect-e2e");
    let program = env::var_os("PREFECT_E2E").map_or(built, PathBuf::from);
    measure(bencher, || {
        let mut command = Command::new(&program);
        command.args(["render", "prefect-server", "--namespace", "prefect"]);
        command
    });
}

#[divan::bench(sample_count = 30, sample_size = 1)]
fn helm(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a directory");
    let chart = match env::var_os("PREFECT_E2E_CHART") {
        Some(chart) => PathBuf::from(chart),
        None => small_chart(directory.path()),
    };
    measure(bencher, || {
        let mut command = Command::new("helm");
        command
            .args(["template", "prefect-server"])
            .arg(&chart)
            .args(["--namespace", "prefect"]);
        command
    });
}

fn small_chart(directory: &Path) -> PathBuf {
    fs::create_dir(directory.join("templates")).expect("a directory");
    fs::write(
        directory.join("Chart.yaml"),
        "{apiVersion: v2, name: small, version: 0.0.0}",
    )
    .expect("a file");
    fs::write(
        directory.join("templates/one.yaml"),
        "{kind: One, metadata: {name: one}}",
    )
    .expect("a file");
    directory.to_owned()
}
