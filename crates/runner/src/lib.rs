//! Deploys the prefect-server chart's values to a cluster, proves from outside that the deployment does
//! what they promise, and reports.

pub mod event;
pub mod exit_code;
pub mod history;
mod secrecy;
pub mod sink;

pub use secrecy::Secrets;
