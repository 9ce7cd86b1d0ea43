//! `postgresql.primary.*`: the pod of the database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{PrimaryPersistence, PrimaryService};
use crate::values::{IntOrString, Table, table};

/// `postgresql.primary.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Primary {
    /// name of the primary, part of the objects' names when there are replicas
    #[serde(default)]
    pub name: String,
    /// whole configuration of the database
    #[serde(default)]
    pub configuration: String,
    /// client authentication of the database
    #[serde(default)]
    pub pg_hba_configuration: String,
    /// name of an existing ConfigMap with the whole configuration
    #[serde(default)]
    pub existing_configmap: String,
    /// configuration that is appended to the image's
    #[serde(default)]
    pub extended_configuration: String,
    /// name of an existing ConfigMap with the appended configuration
    #[serde(default)]
    pub existing_extended_configmap: String,
    /// The database's first start
    pub initdb: Initdb,
    /// more environment variables of the database
    #[serde(default)]
    pub extra_env_vars: Vec<Value>,
    /// name of an existing ConfigMap with more environment variables
    #[serde(default, rename = "extraEnvVarsCM")]
    pub extra_env_vars_cm: String,
    /// name of an existing Secret with more environment variables
    #[serde(default)]
    pub extra_env_vars_secret: String,
    /// entrypoint of the container
    #[serde(default)]
    pub command: Vec<Value>,
    /// arguments of the container
    #[serde(default)]
    pub args: Vec<Value>,
    /// When the database is to be restarted
    pub liveness_probe: PostgresqlProbe,
    /// When the database is to be sent connections
    pub readiness_probe: PostgresqlProbe,
    /// When the database is up
    pub startup_probe: PostgresqlProbe,
    /// probe that replaces the liveness probe
    #[serde(default)]
    pub custom_liveness_probe: Table,
    /// probe that replaces the readiness probe
    #[serde(default)]
    pub custom_readiness_probe: Table,
    /// probe that replaces the startup probe
    #[serde(default)]
    pub custom_startup_probe: Table,
    /// lifecycle hooks of the container
    #[serde(default)]
    pub lifecycle_hooks: Table,
    /// what the container asks for and may use
    #[serde(default)]
    pub resources: Table,
    /// the pod's security context, and whether it is wanted
    #[serde(default)]
    pub pod_security_context: Table,
    /// the container's security context, and whether it is wanted
    #[serde(default)]
    pub container_security_context: Table,
    /// entries of the pod's hosts file
    #[serde(default)]
    pub host_aliases: Vec<Value>,
    /// use the node's network
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// use the node's IPC namespace
    #[serde(rename = "hostIPC", skip_serializing_if = "Option::is_none")]
    pub host_ipc: Option<bool>,
    /// labels of the StatefulSet
    #[serde(default)]
    pub labels: Table,
    /// annotations of the StatefulSet
    #[serde(default)]
    pub annotations: Table,
    /// labels of the pod
    #[serde(default)]
    pub pod_labels: Table,
    /// annotations of the pod
    #[serde(default)]
    pub pod_annotations: Table,
    /// `soft` or `hard` affinity between the database's pods
    #[serde(default)]
    pub pod_affinity_preset: String,
    /// `soft` or `hard` anti-affinity between the database's pods
    #[serde(default)]
    pub pod_anti_affinity_preset: String,
    /// Affinity to nodes
    pub node_affinity_preset: NodeAffinityPreset,
    /// affinity of the pod, instead of the presets
    #[serde(default)]
    pub affinity: Table,
    /// labels of the nodes that may run the pod
    #[serde(default)]
    pub node_selector: Table,
    /// tolerations of the pod
    #[serde(default)]
    pub tolerations: Vec<Value>,
    /// how the pods spread over the nodes
    #[serde(default)]
    pub topology_spread_constraints: Vec<Value>,
    /// priority class of the pod
    #[serde(default)]
    pub priority_class_name: String,
    /// scheduler of the pod
    #[serde(default)]
    pub scheduler_name: String,
    /// seconds that the database gets to end
    #[serde(default)]
    pub termination_grace_period_seconds: IntOrString,
    /// how the StatefulSet replaces its pod
    #[serde(default)]
    pub update_strategy: Table,
    /// more mounts of the container
    #[serde(default)]
    pub extra_volume_mounts: Vec<Value>,
    /// more volumes of the pod
    #[serde(default)]
    pub extra_volumes: Vec<Value>,
    /// more containers of the pod
    #[serde(default)]
    pub sidecars: Vec<Value>,
    /// more init containers of the pod
    #[serde(default)]
    pub init_containers: Vec<Value>,
    /// more keys of the pod's specification
    #[serde(default)]
    pub extra_pod_spec: Table,
    /// The Service of the database
    pub service: PrimaryService,
    /// The claim of the database
    pub persistence: PrimaryPersistence,
}

impl Default for Primary {
    fn default() -> Self {
        let probe = |initial_delay_seconds| PostgresqlProbe {
            enabled: true,
            initial_delay_seconds: Some(initial_delay_seconds),
            period_seconds: Some(10),
            timeout_seconds: Some(5),
            failure_threshold: Some(6),
            success_threshold: Some(1),
        };
        Self {
            name: "primary".to_owned(),
            configuration: String::new(),
            pg_hba_configuration: String::new(),
            existing_configmap: String::new(),
            extended_configuration: String::new(),
            existing_extended_configmap: String::new(),
            initdb: Initdb::default(),
            extra_env_vars: Vec::new(),
            extra_env_vars_cm: String::new(),
            extra_env_vars_secret: String::new(),
            command: Vec::new(),
            args: Vec::new(),
            liveness_probe: probe(30),
            readiness_probe: probe(5),
            startup_probe: PostgresqlProbe {
                enabled: false,
                timeout_seconds: Some(1),
                failure_threshold: Some(15),
                ..probe(30)
            },
            custom_liveness_probe: Table::new(),
            custom_readiness_probe: Table::new(),
            custom_startup_probe: Table::new(),
            lifecycle_hooks: Table::new(),
            resources: table(json!({"limits": {}, "requests": {"memory": "256Mi", "cpu": "250m"}})),
            pod_security_context: table(json!({"enabled": true, "fsGroup": 1001})),
            container_security_context: table(json!({
                "enabled": true,
                "runAsUser": 1001,
                "runAsGroup": 0,
                "runAsNonRoot": true,
                "allowPrivilegeEscalation": false,
                "seccompProfile": {"type": "RuntimeDefault"},
                "capabilities": {"drop": ["ALL"]},
            })),
            host_aliases: Vec::new(),
            host_network: Some(false),
            host_ipc: Some(false),
            labels: Table::new(),
            annotations: Table::new(),
            pod_labels: Table::new(),
            pod_annotations: Table::new(),
            pod_affinity_preset: String::new(),
            pod_anti_affinity_preset: "soft".to_owned(),
            node_affinity_preset: NodeAffinityPreset::default(),
            affinity: Table::new(),
            node_selector: Table::new(),
            tolerations: Vec::new(),
            topology_spread_constraints: Vec::new(),
            priority_class_name: String::new(),
            scheduler_name: String::new(),
            termination_grace_period_seconds: IntOrString::default(),
            update_strategy: table(json!({"type": "RollingUpdate", "rollingUpdate": {}})),
            extra_volume_mounts: Vec::new(),
            extra_volumes: Vec::new(),
            sidecars: Vec::new(),
            init_containers: Vec::new(),
            extra_pod_spec: Table::new(),
            service: PrimaryService::default(),
            persistence: PrimaryPersistence::default(),
        }
    }
}

/// `postgresql.primary.initdb.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Initdb {
    /// arguments of initdb
    #[serde(default)]
    pub args: String,
    /// directory of the transaction log
    #[serde(default)]
    pub postgresql_wal_dir: String,
    /// scripts that run at the first start
    #[serde(default)]
    pub scripts: Table,
    /// name of an existing ConfigMap with scripts
    #[serde(default)]
    pub scripts_config_map: String,
    /// name of an existing Secret with scripts
    #[serde(default)]
    pub scripts_secret: String,
    /// specify the PostgreSQL username to execute the initdb scripts
    #[serde(default)]
    pub user: String,
    /// password of the user that runs the scripts
    #[serde(default)]
    pub password: String,
}

/// A probe of the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresqlProbe {
    /// whether the probe is wanted
    #[serde(default)]
    pub enabled: bool,
    /// seconds before the first probe
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_delay_seconds: Option<i64>,
    /// seconds between probes
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i64>,
    /// seconds until a probe counts as failed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// failures in a row that count
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i64>,
    /// successes in a row that count
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<i64>,
}

/// `postgresql.primary.nodeAffinityPreset.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAffinityPreset {
    /// `soft` or `hard`
    #[serde(default, rename = "type")]
    pub kind: String,
    /// label of the nodes
    #[serde(default)]
    pub key: String,
    /// values of the label
    #[serde(default)]
    pub values: Vec<Value>,
}
