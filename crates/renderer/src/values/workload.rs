//! Blocks that the server's and the background services' values share. In the descriptions
//! `{component}` stands for `server` or `background-services`; the schema and the table of values
//! put the name in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Table, table};

/// What a container asks of its node, and what it may use at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// the requested resources for the {component} container
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Table>,
    /// the requested limits for the {component} container
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Table>,
    /// Other keys, which the chart copies to the container as they are
    #[serde(flatten)]
    pub other: Table,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            requests: Some(table(json!({"cpu": "500m", "memory": "512Mi"}))),
            limits: Some(table(json!({"cpu": "1", "memory": "1Gi"}))),
            other: Table::new(),
        }
    }
}

/// A probe and whether it is wanted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// Whether the container is probed
    #[schemars(description = "")]
    #[serde(default)]
    pub enabled: bool,
    /// How often, how patiently
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ProbeConfig>,
}

impl Probe {
    /// The chart's probe of a Prefect container: written down in full, and off.
    pub(crate) fn of_chart() -> Self {
        Self {
            enabled: false,
            config: Some(ProbeConfig::default()),
        }
    }
}

/// The timing of a probe, in seconds and attempts. The server's takes no keys but these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeConfig {
    /// The number of seconds to wait before starting the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_delay_seconds: Option<i64>,
    /// The number of seconds to wait between consecutive probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i64>,
    /// The number of seconds to wait for a probe response before considering it as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    /// The number of consecutive failures allowed before considering the probe as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i64>,
    /// The minimum consecutive successes required to consider the probe successful.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<i64>,
    /// Other keys, which the chart copies to the probe as they are
    #[serde(flatten)]
    pub other: Table,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            initial_delay_seconds: Some(10),
            period_seconds: Some(10),
            timeout_seconds: Some(5),
            failure_threshold: Some(3),
            success_threshold: Some(1),
            other: Table::new(),
        }
    }
}

/// The security context of a pod. The server's takes no keys but these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurityContext {
    /// set {component} pod's security context runAsUser
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// set {component} pod's security context runAsNonRoot
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// set {component} pod's security context fsGroup
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// set {component} pod's seccomp profile
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<SeccompProfile>,
    /// Other keys, which the chart copies to the pod as they are
    #[serde(flatten)]
    pub other: Table,
}

impl Default for PodSecurityContext {
    fn default() -> Self {
        Self {
            run_as_user: Some(1001),
            run_as_non_root: Some(true),
            fs_group: Some(1001),
            seccomp_profile: None,
            other: Table::new(),
        }
    }
}

/// Which system calls a pod may make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-leaf" = true))]
pub struct SeccompProfile {
    /// Where the profile comes from
    #[serde(rename = "type")]
    pub kind: SeccompProfileKind,
    /// path of the profile on the node, beginning with `/`; required when the type is `Localhost`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/.*$"))]
    pub localhost_profile: Option<String>,
    /// Other keys, which the chart copies to the pod as they are
    #[serde(flatten)]
    pub other: Table,
}

/// Where a seccomp profile comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SeccompProfileKind {
    /// The container runtime's own profile
    RuntimeDefault,
    /// No confinement
    Unconfined,
    /// A file on the node
    Localhost,
}

impl Default for SeccompProfile {
    fn default() -> Self {
        Self {
            kind: SeccompProfileKind::RuntimeDefault,
            localhost_profile: None,
            other: Table::new(),
        }
    }
}

/// The security context of a container. The server's takes no keys but these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSecurityContext {
    /// set {component} containers' security context runAsUser
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// set {component} containers' security context runAsNonRoot
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// set {component} containers' security context readOnlyRootFilesystem
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    /// set {component} containers' security context allowPrivilegeEscalation
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
    /// set {component} container's security context capabilities
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Table>,
    /// Other keys, which the chart copies to the container as they are
    #[serde(flatten)]
    pub other: Table,
}

impl Default for ContainerSecurityContext {
    fn default() -> Self {
        Self {
            run_as_user: Some(1001),
            run_as_non_root: Some(true),
            read_only_root_filesystem: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Table::new()),
            other: Table::new(),
        }
    }
}
