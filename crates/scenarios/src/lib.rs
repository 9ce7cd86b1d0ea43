//! The scenario format of prefect-e2e: what is deployed, what must be there beforehand, what is
//! expected, and what is proven.
//!
//! A scenario is data, one YAML file a case; [`load`] reads and checks one, [`Matrix`] a directory of
//! them, [`Selection`] chooses.
//!
//! ```
//! let text = "
//! description: the default values
//! values:
//!   postgresql: {enabled: false}
//!   sqlite: {enabled: true}
//! proves:
//!   - dataSurvives: {deleting: [server]}
//! ";
//! let scenario = prefect_e2e_scenarios::parse("sqlite", "sqlite.yaml", text)?;
//! assert_eq!(scenario.release(), "prefect-server");
//! # Ok::<(), prefect_e2e_scenarios::ScenarioError>(())
//! ```

mod coverage;
mod format;
mod lint;
mod load;
mod placeholder;
mod schema;
mod selection;

pub use coverage::{KeyCoverage, coverage};
pub use format::{
    Because, Component, DataSurvival, Expectation, ExternalPostgres, Proof, Requirements, Scenario,
    ScenarioFile, Secret, Upgrade,
};
pub use lint::{Finding, Rule, lint};
pub use load::{Matrix, ScenarioError, load, parse, scenario_files};
pub use placeholder::{Placeholders, PostgresAccess, UnknownPlaceholder};
pub use schema::json_schema;
pub use selection::{Selection, SelectionError};
