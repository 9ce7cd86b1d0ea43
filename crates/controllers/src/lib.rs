//! The controllers of the embedded cluster: what `kube-controller-manager` and `kube-scheduler` are to a
//! real one, for the kinds that an application chart uses.
//!
//! Watches, shared between controllers, only say where to look; what is counted is read from the API at
//! that moment, so that no controller acts on what it has changed already.

mod clock;
mod cluster;
mod deployment;
mod error;
mod hash;
mod informer;
mod owner;
mod pod;
mod quantity;
mod queue;
mod replica_set;
mod scheduler;
mod start;
#[cfg(test)]
mod testing;

pub use start::{Options, run};
