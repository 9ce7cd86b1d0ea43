//! The whole matrix on one embedded cluster: `cargo test --test matrix sqlite` runs one scenario.

use std::path::PathBuf;

use prefect_e2e::{ProveOptions, event::Verdict};
use prefect_e2e_tests::{describe, prove};
use rstest::rstest;

#[rstest]
fn scenario(#[files("../scenarios/*.yaml")] path: PathBuf) {
    let scenario = prefect_e2e_scenarios::load(&path).unwrap();
    let first = prove(&scenario, ProveOptions::default());
    let outcome = match first {
        // a machine that does other work at the same time may starve a server; who fails twice has failed
        Ok(proven) if proven.verdict == Verdict::Failed && !proven.unusable => {
            eprintln!("failed, and is tried once more: {}", describe(&proven));
            prove(&scenario, ProveOptions::default())
        }
        other => other,
    };
    match outcome {
        Ok(proven) if proven.unusable => eprintln!("skipped: {}", describe(&proven)),
        Ok(proven) => assert_eq!(proven.verdict, Verdict::Passed, "{}", describe(&proven)),
        Err(reason) => eprintln!("skipped: {reason}"),
    }
}
