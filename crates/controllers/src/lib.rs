//! The controllers of the embedded cluster: what `kube-controller-manager` and `kube-scheduler` are to a
//! real one, for the kinds that an application chart uses.
//!
//! Watches, shared between controllers, only say where to look; what is counted is read from the API at
//! that moment, so that no controller acts on what it has changed already.

mod autoscaler;
mod claim_protection;
mod clock;
mod cluster;
mod deployment;
mod endpoint;
mod error;
mod garbage;
mod hash;
mod informer;
mod job;
mod kinds;
mod namespace;
mod owner;
mod pod;
mod quantity;
mod queue;
mod replica_set;
mod scheduler;
mod service_account;
mod start;
mod stateful_set;
#[cfg(test)]
mod testing;
mod volume_binder;

pub use start::{Options, run};
