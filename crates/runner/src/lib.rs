//! Deploys the prefect-server chart's values to a cluster, proves from outside that the deployment does
//! what they promise, and reports.
//!
//! The `prefect-e2e` command is [`main`]; what happens in a run is the stream of [`event`]s.

mod batch_args;
mod browser;
mod check;
mod clean_command;
mod cli;
mod cluster_command;
mod completions_command;
mod config_command;
mod coverage_command;
mod deploy;
mod deploy_args;
mod deployment;
mod diagnosis;
mod diff_command;
mod doctor_command;
mod draft;
pub mod event;
mod exec;
pub mod exit_code;
mod external_database;
mod helm;
pub mod history;
mod http;
mod image;
mod lint_command;
mod list_command;
mod man_command;
mod new_command;
mod open_command;
mod port_forward;
mod prefect;
mod prove;
mod release;
mod release_args;
mod render_command;
mod report_args;
mod run;
mod run_command;
mod scenario_args;
mod schema_command;
mod secrecy;
mod settings;
mod signals;
pub mod sink;
mod stdout;
mod step;
mod suite;
mod target;
mod values_args;
mod values_command;
mod version_matrix;
mod visit;
mod watch;
mod watch_command;

pub use browser::browser_program;
pub use cli::main;
pub use helm::{Chart, ChartError};
pub use image::{ImageReplacement, NotAReplacement};
pub use prove::{Keep, ProveOptions, Visit};
pub use run::{RunOptions, Summary, default_jobs, run};
pub use secrecy::Secrets;
pub use suite::{Proven, Suite};
pub use target::{Embedded, Kind, KindOptions, Remote, Target, TargetError, cluster_program};
