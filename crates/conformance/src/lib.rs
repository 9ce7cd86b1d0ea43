//! What Kubernetes does, one behaviour after the other, so that a cluster can be compared with it.
//!
//! [`behaviours`] is the table: each has an area and a sentence for a name, runs in a [`Place`] of its own,
//! and depends on no other one. `cargo test` tries them on the embedded cluster, `make conformance
//! KUBECONFIG=…` on a real one. What the embedded cluster does differently, and why, is
//! [`known_differences`].

mod answer;
mod behaviour;
mod known;
mod objects;
mod place;
mod watch;

mod apply;
mod concurrency;
mod defaults;
mod deletion;
mod discovery;
mod dry_run;
mod environment;
mod immutability;
mod jobs;
mod lists;
mod naming;
mod network;
mod patches;
mod pods;
mod quantities;
mod refusals;
mod rollouts;
mod security;
mod selectors;
mod stateful_sets;
mod subresources;
mod tables;
mod validation;
mod volumes;
mod watches;

pub use behaviour::{Behaviour, Failure, Outcome};
pub use known::{KnownDifference, judged, known_differences};
pub use place::{Place, RUN_LABEL};

/// All behaviours.
#[must_use]
pub fn behaviours() -> Vec<Behaviour> {
    [
        apply::behaviours,
        concurrency::behaviours,
        defaults::behaviours,
        deletion::behaviours,
        discovery::behaviours,
        dry_run::behaviours,
        environment::behaviours,
        immutability::behaviours,
        jobs::behaviours,
        lists::behaviours,
        naming::behaviours,
        network::behaviours,
        patches::behaviours,
        pods::behaviours,
        quantities::behaviours,
        refusals::behaviours,
        rollouts::behaviours,
        security::behaviours,
        selectors::behaviours,
        stateful_sets::behaviours,
        subresources::behaviours,
        tables::behaviours,
        validation::behaviours,
        volumes::behaviours,
        watches::behaviours,
    ]
    .into_iter()
    .flat_map(|area| area())
    .collect()
}
