//! The whole matrix on one embedded cluster: `cargo test --test matrix sqlite` runs one scenario.

use std::path::PathBuf;

use prefect_e2e::{ProveOptions, event::Verdict};
use prefect_e2e_tests::{describe, prove, skip};
use rstest::rstest;

#[rstest]
fn scenario(#[files("../scenarios/*.yaml")] path: PathBuf) {
    let scenario = prefect_e2e_scenarios::load(&path).unwrap();
    match prove(&scenario, ProveOptions::default()) {
        Ok(proven) if proven.unusable => skip(describe(&proven)),
        Ok(proven) => assert_eq!(proven.verdict, Verdict::Passed, "{}", describe(&proven)),
        Err(reason) => skip(reason),
    }
}
