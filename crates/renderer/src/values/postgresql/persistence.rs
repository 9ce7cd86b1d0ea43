//! `postgresql.primary.persistence.*`: the claim of the database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::values::Table;

/// `postgresql.primary.persistence.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrimaryPersistence {
    /// enable PostgreSQL Primary data persistence using PVC
    #[serde(default)]
    pub enabled: bool,
    /// name of an existing claim
    #[serde(default)]
    pub existing_claim: String,
    /// where the volume is mounted
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// directory of the volume that is mounted
    #[serde(default)]
    pub sub_path: String,
    /// storage class of the claim
    #[serde(default)]
    pub storage_class: String,
    /// access modes of the claim
    #[serde(default)]
    pub access_modes: Vec<Value>,
    /// size of the claim
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// annotations of the claim
    #[serde(default)]
    pub annotations: Table,
    /// labels of the claim
    #[serde(default)]
    pub labels: Table,
    /// selector of the claim
    #[serde(default)]
    pub selector: Table,
    /// source of the claim's data
    #[serde(default)]
    pub data_source: Table,
}

impl Default for PrimaryPersistence {
    fn default() -> Self {
        Self {
            enabled: true,
            existing_claim: String::new(),
            mount_path: Some("/bitnami/postgresql".to_owned()),
            sub_path: String::new(),
            storage_class: String::new(),
            access_modes: vec![json!("ReadWriteOnce")],
            size: Some("8Gi".to_owned()),
            annotations: Table::new(),
            labels: Table::new(),
            selector: Table::new(),
            data_source: Table::new(),
        }
    }
}
