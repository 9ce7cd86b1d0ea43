//! The types of a scenario file. The doc comments are the descriptions of its JSON schema.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A scenario and its name, which is its file's.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: String,
    /// What the file says.
    pub file: ScenarioFile,
}

impl Scenario {
    /// The name of the release, `prefect-server` unless the file says otherwise.
    #[must_use]
    pub fn release(&self) -> &str {
        self.file.release.as_deref().unwrap_or("prefect-server")
    }

    /// How often a Prefect server boots in this scenario, for estimates of its duration.
    #[must_use]
    pub fn expected_boots(&self) -> usize {
        if matches!(self.file.expect, Expectation::Refused(_)) {
            return 0;
        }
        let of_proof = |proof: &Proof| match proof {
            Proof::DataSurvives(_) => 1,
            Proof::BackgroundServices => 2,
            _ => 0,
        };
        1 + self.file.proves.iter().map(of_proof).sum::<usize>() + self.file.upgrades.len()
    }
}

/// One case of the matrix: values, what must exist beforehand, what is expected and what is proven.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[schemars(title = "A scenario of prefect-e2e")]
pub struct ScenarioFile {
    /// What the scenario is for, in a sentence.
    pub description: String,
    /// Words to select by: `prefect-e2e run --label database`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// Name of the release; `prefect-server` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What must exist before the deployment.
    #[serde(skip_serializing_if = "Requirements::is_empty")]
    pub requires: Requirements,
    /// Values of the chart, as in a values file. `${postgres.host}` and the like stand for what
    /// `requires` made.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
    /// What must become of the deployment.
    #[serde(skip_serializing_if = "Expectation::is_ready")]
    pub expect: Expectation,
    /// What is proven beyond what every scenario proves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proves: Vec<Proof>,
    /// Changes of values that are rolled out one after the other, each proven like the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upgrades: Vec<Upgrade>,
}

/// What must exist before the deployment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Requirements {
    /// Secrets of the namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// A PostgreSQL server outside the deployment, made for this scenario alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_postgres: Option<ExternalPostgres>,
}

impl Requirements {
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.external_postgres.is_none()
    }
}

/// A Secret of the namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Its content in plain text; `${postgres.password}` and the like are replaced.
    pub data: BTreeMap<String, String>,
}

/// A PostgreSQL server outside the deployment.
///
/// Placeholders: `${postgres.host}`, `.port`, `.user`, `.password`, `.database`, `.ca` (PEM of the
/// authority that signed its certificate), `.otherCa` (an authority that did not).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ExternalPostgres {
    /// Whether it accepts connections over TLS alone.
    pub tls: bool,
}

/// What must become of the deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// It becomes ready, and all that is proven holds.
    #[default]
    Ready,
    /// It is deployed but never becomes ready, for this reason and no other.
    NeverReady(Because),
    /// The chart refuses the values.
    Refused(Because),
}

impl Expectation {
    pub(crate) fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

/// The reason of a failure that is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Because {
    /// What the reason must contain: in the refusal, or in the log, events and state of the pods.
    pub because: String,
}

/// A point that a scenario proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Proof {
    /// A flow run is still there after these pods were deleted and replaced.
    DataSurvives(DataSurvival),
    /// So many pods serve the API, whatever the values ask for.
    Replicas(usize),
    /// API and UI answer 401 without and with wrong credentials, and serve with these.
    BasicAuth {
        /// `admin:password`
        auth_string: String,
    },
    /// A real browser shows the UI with live data and without a complaint; skipped where none is installed.
    Browser,
    /// The rows of a flow run are in the bundled database.
    DatabaseRows,
    /// All sessions of the server at the external database are encrypted, by the database's own word.
    DatabaseTls,
    /// Runs of a scheduled deployment appear because of the second Deployment: they stop when it is
    /// scaled to 0 while the web server goes on.
    BackgroundServices,
}

/// What a flow run survives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DataSurvival {
    /// Whose pods are deleted, all at once.
    pub deleting: BTreeSet<Component>,
}

/// A part of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Component {
    /// The web server.
    Server,
    /// The second Deployment, with the background services.
    BackgroundServices,
    /// The bundled PostgreSQL.
    Database,
}

/// A change of values that is rolled out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Upgrade {
    /// What changes, in a sentence.
    pub description: String,
    /// Merged over the values so far, as a further `-f` file would be.
    pub values: Map<String, Value>,
}
