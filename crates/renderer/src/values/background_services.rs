//! `backgroundServices.*`: the scheduler and its kin in a Deployment of their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ServiceAccount, Table,
    workload::{ContainerSecurityContext, PodSecurityContext, Probe, Resources},
};

/// The scheduler and its kin in a Deployment of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackgroundServices {
    /// Whether the background services leave the web server's Deployment
    #[schemars(description = "")]
    #[serde(default)]
    pub run_as_separate_deployment: bool,
    /// priority class name to use for the background-services pods; if the priority class is empty or doesn't exist, the background-services pods are scheduled without a priority class
    #[serde(default)]
    pub priority_class_name: String,
    /// enable background-services debug mode
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// Level below which the background services log nothing
    #[schemars(description = "")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging_level: Option<String>,
    /// array with environment variables to add to background-services container
    #[serde(default)]
    pub env: Vec<Table>,
    /// the number of old ReplicaSets to retain to allow rollback
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i64>,
    /// What the container asks for and may use
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// When the background services are to be restarted
    pub liveness_probe: Probe,
    /// When the background services are ready
    pub readiness_probe: Probe,
    /// The pod's security context
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_security_context: Option<PodSecurityContext>,
    /// The container's security context
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<ContainerSecurityContext>,
    /// extra labels for background-services pod
    #[serde(default)]
    pub pod_labels: Table,
    /// extra annotations for background-services pod
    #[serde(default)]
    pub pod_annotations: Table,
    /// affinity for background-services pod assignment
    #[serde(default)]
    pub affinity: Table,
    /// node labels for background-services pod assignment
    #[serde(default)]
    pub node_selector: Table,
    /// tolerations for background-services pod assignment
    #[serde(default)]
    pub tolerations: Vec<Table>,
    /// name of existing ConfigMap containing extra env vars to add to background-services pod
    #[serde(default, rename = "extraEnvVarsCM")]
    pub extra_env_vars_cm: String,
    /// name of existing Secret containing extra env vars to add to background-services pod
    #[serde(default)]
    pub extra_env_vars_secret: String,
    /// additional sidecar containers
    #[serde(default)]
    pub extra_containers: Vec<Table>,
    /// array with extra volumes for the background-services pod
    #[serde(default)]
    pub extra_volumes: Vec<Table>,
    /// array with extra volumeMounts for the background-services pod
    #[serde(default)]
    pub extra_volume_mounts: Vec<Table>,
    /// The ServiceAccount of the background services
    pub service_account: ServiceAccount,
}

impl Default for BackgroundServices {
    fn default() -> Self {
        Self {
            run_as_separate_deployment: false,
            priority_class_name: String::new(),
            debug: Some(false),
            logging_level: Some("WARNING".to_owned()),
            env: Vec::new(),
            revision_history_limit: Some(10),
            resources: Some(Resources::default()),
            liveness_probe: Probe::of_chart(),
            readiness_probe: Probe::of_chart(),
            pod_security_context: Some(PodSecurityContext::default()),
            container_security_context: Some(ContainerSecurityContext::default()),
            pod_labels: Table::new(),
            pod_annotations: Table::new(),
            affinity: Table::new(),
            node_selector: Table::new(),
            tolerations: Vec::new(),
            extra_env_vars_cm: String::new(),
            extra_env_vars_secret: String::new(),
            extra_containers: Vec::new(),
            extra_volumes: Vec::new(),
            extra_volume_mounts: Vec::new(),
            service_account: ServiceAccount::default(),
        }
    }
}
