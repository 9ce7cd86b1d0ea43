//! What the end-to-end tests share: the program under test and the cluster that they run on.

use std::{
    fmt::Display,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{LazyLock, OnceLock},
};

use prefect_e2e::{ProveOptions, Proven, Suite};
use prefect_e2e_scenarios::Scenario;
use tokio::runtime::Runtime;

/// The repository's root.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("/"))
}

/// The `prefect-e2e` program that was built with these tests.
///
/// # Panics
/// When it was not: `cargo test --workspace` builds it.
#[must_use]
pub fn program() -> PathBuf {
    let program = prefect_e2e::cluster_program().unwrap_or_default();
    assert!(
        program.ends_with("prefect-e2e"),
        "`cargo build -p prefect-e2e` makes the program that these tests need"
    );
    program
}

/// The program, at the repository's root, with no input and a state of its own in `directory`.
#[must_use]
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .current_dir(root())
        .env("XDG_STATE_HOME", directory.join("state"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

#[expect(clippy::expect_used, reason = "without threads there are no tests")]
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

static SUITE: OnceLock<Result<Suite, String>> = OnceLock::new();

/// The cluster of this process, or why there is none.
///
/// # Errors
/// When this machine cannot run one.
pub fn suite() -> Result<&'static Suite, &'static str> {
    let start = || {
        // the cluster ends with the thread that started it, and a test's thread ends with the test
        let starting = RUNTIME.spawn(Suite::start());
        match RUNTIME.block_on(starting) {
            Ok(suite) => suite.map_err(|error| whole_message(&error)),
            Err(panicked) => Err(panicked.to_string()),
        }
    };
    SUITE.get_or_init(start).as_ref().map_err(String::as_str)
}

/// Proves a scenario on the cluster of this process.
///
/// # Errors
/// When this machine cannot run one.
pub fn prove(scenario: &Scenario, options: ProveOptions) -> Result<Proven, &'static str> {
    let suite = suite()?;
    Ok(RUNTIME.block_on(suite.prove(scenario, options)))
}

/// The message of an error and of all that caused it.
#[must_use]
pub fn whole_message(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}

/// How a failed scenario is shown in a test's output.
#[must_use]
pub fn describe(proven: &Proven) -> String {
    let Some((step, failure)) = proven.failure() else {
        return format!("{:?}", proven.verdict);
    };
    let details = failure
        .details
        .iter()
        .map(|detail| format!("{}\n{}\n", detail.title, detail.text));
    format!(
        "{step}: {}\nexpected {}\nfound {}\n{}",
        failure.cause,
        failure.expected,
        failure.found,
        details.collect::<String>()
    )
}

/// Says that the test of this thread is skipped, and why, where the harness would keep it from being seen.
pub fn skip(reason: impl Display) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    // a harness captures what `println` prints of tests that pass
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}
