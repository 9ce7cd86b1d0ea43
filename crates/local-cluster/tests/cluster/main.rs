//! A real embedded cluster under its real clients, `kubectl` and `kube`: as the user who runs the tests,
//! and as an ordinary user when that is root.

mod ending;
mod network;
mod node;
mod pods;
mod streams;
mod suite;
mod volumes;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};
use suite::{NoSuite, Suite};

type Check = fn(&Suite) -> Result<(), suite::Failure>;

/// A check with clusters of its own.
type Alone = fn() -> Result<(), suite::Failure>;

const CHECKS: [(&str, Check); 29] = [
    ("pods_made_at_once_all_start", pods::made_at_once),
    ("what_cannot_start_says_why", pods::what_cannot_start),
    ("failures_to_run_say_why", pods::what_fails),
    ("a_container_that_ends_is_started_again", pods::restarts),
    ("a_probe_that_fails_restarts_its_container", pods::liveness),
    ("a_pod_is_ready_when_its_probe_is", pods::readiness),
    (
        "init_containers_and_sidecars_keep_their_order",
        pods::init_and_sidecars,
    ),
    ("a_pod_ends_in_order", pods::ends_in_order),
    ("a_pod_ends_during_a_probe", pods::ends_during_a_probe),
    ("a_pod_ends_by_force", pods::ends_by_force),
    ("an_unknown_service_account_is_refused", pods::unknown_account),
    ("identities_are_taken", pods::identities),
    ("files_of_volumes_change", volumes::files_change),
    ("parts_of_volumes_are_mounted", volumes::parts),
    ("a_claim_keeps_its_files", volumes::claim),
    ("a_pod_comes_in_with_its_token", volumes::token),
    ("exec_tells_the_exit_code", streams::exec_code),
    ("exec_passes_input_and_files", streams::exec_input),
    ("exec_works_from_kube", streams::exec_from_kube),
    ("logs_are_read_in_parts", streams::logs),
    ("attach_passes_input", streams::attach),
    ("ports_are_forwarded", network::port_forward),
    ("ports_are_forwarded_to_kube", network::port_forward_from_kube),
    ("lists_are_applied", node::lists),
    ("ingresses_are_routed", network::ingress),
    ("ingresses_pass_an_upgrade", network::ingress_upgrade),
    ("pods_reach_an_exposed_port", network::exposed),
    ("hardware_addresses_stay", network::hardware_addresses),
    ("cpu_time_is_counted", node::cpu_time),
];

fn main() -> ExitCode {
    prefect_e2e_local_cluster::dispatch();
    if std::env::var_os(ending::HOLD).is_some() {
        return ending::hold();
    }
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    match Suite::start() {
        Ok(suite) => {
            let suite = Arc::new(suite);
            let conclusion = libtest_mimic::run(&arguments, trials(Some(&suite)));
            suite.stop();
            conclusion.exit_code()
        }
        Err(NoSuite::Skipped(reason)) => {
            println!("skipped: {reason}");
            ExitCode::SUCCESS
        }
        Err(NoSuite::Broken(error)) => {
            println!("the cluster of the tests does not start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn trials(suite: Option<&Arc<Suite>>) -> Vec<Trial> {
    let check = |(name, check): (&str, Check)| {
        let suite = suite.cloned();
        Trial::test(name, move || match &suite {
            Some(suite) => check(suite).map_err(Into::into),
            None => Ok(()),
        })
    };
    let alone: [(&str, Alone); 2] = [
        ("nothing_is_left_after_kill_9", ending::kill_9),
        (
            "all_of_this_works_as_an_ordinary_user",
            ending::as_an_ordinary_user,
        ),
    ];
    let alone = alone.map(|(name, check)| Trial::test(name, move || check().map_err(Into::into)));
    CHECKS.into_iter().map(check).chain(alone).collect()
}
