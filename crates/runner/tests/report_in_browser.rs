//! The HTML report in a real browser, where one is installed.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use prefect_e2e::{
    Secrets,
    event::{Event, Sink as _},
    sink::Html,
};

/// A Chromium of the PATH; what it draws is judged by eyes, that it draws and runs is judged here.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|file| file.is_file())
}

fn report(directory: &Path) -> String {
    let mut sink = Html::new(directory.to_owned(), Secrets::default());
    for line in include_str!("../src/sink/fixtures/run.ndjson").lines() {
        let event: Event = serde_json::from_str(line).expect("the run is of events");
        sink.take(&event);
    }
    format!("file://{}", directory.join("index.html").display())
}

fn open(browser: &Path, home: &Path, arguments: &[&str], url: &str) -> String {
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--virtual-time-budget=2000",
        ])
        .arg(format!("--user-data-dir={}", home.display()))
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .expect("the browser starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("a document is text")
}

#[test]
fn the_report_runs_and_draws_in_a_browser() {
    let Some(browser) = browser() else {
        let _ = writeln!(std::io::stderr(), "skipped: no Chromium in PATH");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let url = report(&directory.path().join("report"));

    let document = open(&browser, &home, &["--dump-dom"], &format!("{url}#sqlite"));
    let sqlite = document
        .split("<details class=\"scenario passed\" id=\"sqlite\"")
        .nth(1)
        .unwrap();
    let tag = sqlite.split('>').next().unwrap();
    assert!(
        tag.contains("open"),
        "the script opens the scenario of the link: {tag}"
    );
    assert!(
        document.contains("<div class=\"tools\">"),
        "the script shows its tools"
    );

    let picture = directory.path().join("wide.png");
    let argument = format!("--screenshot={}", picture.display());
    open(&browser, &home, &[&argument, "--window-size=1200,900"], &url);
    let picture = fs::read(&picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    // a blank page of this size takes less than 10 KB
    assert!(picture.len() > 30_000, "{} bytes", picture.len());
}
