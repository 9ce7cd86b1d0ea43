//! Every break of `breaks.yaml` is caught by its scenario, at the step and for the reason that it names.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};
use prefect_e2e::{ProveOptions, event::Verdict};
use prefect_e2e_renderer::patch::Patches;
use prefect_e2e_scenarios::Scenario;
use prefect_e2e_tests::{describe, prove, root, skip, suite, whole_message};
use serde::Deserialize;
use serde_json::Value;

/// A way to break a deployment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Break {
    /// The scenario that must notice.
    scenario: String,
    /// What is broken.
    name: String,
    /// Changes of the rendered objects, as `--patch` takes them.
    #[serde(default)]
    patch: Value,
    /// A merge patch (RFC 7386) of the scenario itself.
    #[serde(default)]
    edit: Value,
    /// What of this machine it takes to notice.
    #[serde(default)]
    needs: Option<Need>,
    /// Where and why it must be noticed.
    caught: Caught,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Need {
    Chromium,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Caught {
    step: String,
    because: String,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // most of a trial is the boot of a server, which is bound by CPU
    arguments.test_threads = arguments.test_threads.or(Some(prefect_e2e::default_jobs()));
    let unavailable = if arguments.list { None } else { suite().err() };
    let breaks = load();
    let trials = breaks.into_iter().map(|broken| {
        let name = format!("{}: {}", broken.scenario, broken.name);
        let lacks_browser = broken.needs == Some(Need::Chromium) && prefect_e2e::browser_program().is_none();
        if lacks_browser {
            println!("skipped: {name}: no Chromium; on Debian `apt-get install chromium` installs it");
        }
        let trial = Trial::test(name, move || check(&broken).map_err(Failed::from));
        trial.with_ignored_flag(unavailable.is_some() || lacks_browser)
    });
    if let Some(reason) = unavailable {
        println!("skipped: {reason}");
    }
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn load() -> Vec<Break> {
    let text = std::fs::read_to_string(root().join("tests/breaks.yaml")).expect("the table of breaks");
    let breaks: Vec<Break> = serde_saphyr::from_str(&text).expect("the table of breaks is well-formed");
    let mut counts = BTreeMap::new();
    for broken in &breaks {
        *counts.entry(broken.scenario.clone()).or_insert(0) += 1;
    }
    println!("{} breaks of {} scenarios", breaks.len(), counts.len());
    breaks
}

fn check(broken: &Break) -> Result<(), String> {
    let scenario = edited(broken)?;
    let mut patches = Patches::default();
    if !broken.patch.is_null() {
        let text = serde_json::to_string(&broken.patch).map_err(|error| error.to_string())?;
        patches
            .add("breaks.yaml", &text)
            .map_err(|error| whole_message(&error))?;
    }
    let options = ProveOptions {
        patience: Duration::from_secs(120),
        patches,
        ..ProveOptions::default()
    };
    let proven = prove(&scenario, options)?;
    if proven.unusable {
        skip(describe(&proven));
        return Ok(());
    }
    let Some((step, failure)) = proven.failure() else {
        return Err(format!("not caught: {:?}", proven.verdict));
    };
    assert_eq!(proven.verdict, Verdict::Failed);
    let told = [&failure.cause, &failure.expected, &failure.found];
    let for_the_reason = told.iter().any(|text| text.contains(&broken.caught.because));
    if step == broken.caught.step && for_the_reason {
        return Ok(());
    }
    let Caught { step, because } = &broken.caught;
    Err(format!(
        "must be caught at {step:?} because {because:?}, but:\n{}",
        describe(&proven)
    ))
}

/// The scenario, changed as the break says.
fn edited(broken: &Break) -> Result<Scenario, String> {
    let path = root().join("scenarios").join(format!("{}.yaml", broken.scenario));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut document: Value = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    if !broken.edit.is_null() {
        json_patch::merge(&mut document, &broken.edit);
    }
    let text = document.to_string();
    prefect_e2e_scenarios::parse(&broken.scenario, &path.display().to_string(), &text)
        .map_err(|error| whole_message(&error))
}
