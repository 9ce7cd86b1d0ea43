//! `global.postgresql.*`: settings that win over `postgresql.*`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PrimaryServicePorts, SecretKeys};

/// `global.postgresql.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalPostgresql {
    /// Users, passwords and the database's name
    #[serde(default)]
    pub auth: GlobalAuth,
    /// The Service
    #[serde(default)]
    pub service: GlobalService,
}

/// `global.postgresql.auth.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalAuth {
    /// password of the admin user `postgres`
    #[serde(default)]
    pub postgres_password: String,
    /// name of the custom user
    #[serde(default)]
    pub username: String,
    /// password of the custom user
    #[serde(default)]
    pub password: String,
    /// name of the custom database
    #[serde(default)]
    pub database: String,
    /// name of an existing Secret with the passwords
    #[serde(default)]
    pub existing_secret: String,
    /// Keys of the existing Secret
    #[serde(default)]
    pub secret_keys: SecretKeys,
}

/// `global.postgresql.service.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalService {
    /// Ports of the Service
    #[serde(default)]
    pub ports: PrimaryServicePorts,
}
