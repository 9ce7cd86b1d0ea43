//! `server.*`: the web server's Deployment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Table,
    workload::{ContainerSecurityContext, PodSecurityContext, Probe, Resources, SeccompProfile},
};

/// The web server's Deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// Credentials that clients must present
    pub basic_auth: BasicAuth,
    /// priority class name to use for the server pods; if the priority class is empty or doesn't exist, the server pods are scheduled without a priority class
    #[serde(default)]
    pub priority_class_name: String,
    /// enable server debug mode
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// Level below which the server logs nothing
    #[schemars(description = "")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging_level: Option<String>,
    /// The web interface
    pub ui_config: UiConfig,
    /// array with environment variables to add to server deployment
    #[serde(default)]
    pub env: Vec<Table>,
    /// Custom container command arguments
    #[serde(default)]
    pub args: Vec<Value>,
    /// Custom container entrypoint
    #[serde(default)]
    pub command: Vec<Value>,
    /// the number of old ReplicaSets to retain to allow rollback
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i64>,
    /// The HorizontalPodAutoscaler
    pub autoscaling: Autoscaling,
    /// number of server replicas to deploy
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_count: Option<i64>,
    /// What the server's container asks for and may use
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// When the server is to be restarted
    pub liveness_probe: Probe,
    /// When the server is to be sent requests
    pub readiness_probe: Probe,
    /// The pod's security context
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_security_context: Option<PodSecurityContext>,
    /// The container's security context
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<ContainerSecurityContext>,
    /// extra labels for server pod
    #[serde(default)]
    pub pod_labels: Table,
    /// extra annotations for server pod
    #[serde(default)]
    pub pod_annotations: Table,
    /// affinity for server pods assignment
    #[serde(default)]
    pub affinity: Table,
    /// node labels for server pods assignment
    #[serde(default)]
    pub node_selector: Table,
    /// tolerations for server pods assignment
    #[serde(default)]
    pub tolerations: Vec<Table>,
    /// name of existing ConfigMap containing extra env vars to add to server nodes
    #[serde(default, rename = "extraEnvVarsCM")]
    pub extra_env_vars_cm: String,
    /// name of existing Secret containing extra env vars to add to server nodes
    #[serde(default)]
    pub extra_env_vars_secret: String,
    /// additional sidecar containers
    #[serde(default)]
    pub extra_containers: Vec<Table>,
    /// array with extra volumes for the server pod
    #[serde(default)]
    pub extra_volumes: Vec<Table>,
    /// array with extra volumeMounts for the server pod
    #[serde(default)]
    pub extra_volume_mounts: Vec<Table>,
    /// array with extra Arguments for the server container to start with
    #[serde(default)]
    pub extra_args: Vec<Value>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            basic_auth: BasicAuth::default(),
            priority_class_name: String::new(),
            debug: Some(false),
            logging_level: Some("WARNING".to_owned()),
            ui_config: UiConfig::default(),
            env: Vec::new(),
            args: Vec::new(),
            command: Vec::new(),
            revision_history_limit: Some(10),
            autoscaling: Autoscaling::default(),
            replica_count: Some(1),
            resources: Some(Resources::default()),
            liveness_probe: Probe::of_chart(),
            readiness_probe: Probe::of_chart(),
            pod_security_context: Some(PodSecurityContext {
                seccomp_profile: Some(SeccompProfile::default()),
                ..PodSecurityContext::default()
            }),
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
            extra_args: Vec::new(),
        }
    }
}

/// `server.basicAuth.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// enable basic auth for the server, for an administrator/password combination
    #[serde(default)]
    pub enabled: bool,
    /// basic auth credentials in the format `admin:your-password`
    #[schemars(description = "basic auth credentials in the format admin:<your-password> (no brackets)")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_string: Option<String>,
    /// name of existing secret containing basic auth credentials. takes precedence over authString. must contain a key `auth-string` with the value of the auth string
    #[serde(default)]
    pub existing_secret: String,
}

impl Default for BasicAuth {
    fn default() -> Self {
        Self {
            enabled: false,
            auth_string: Some("admin:pass".to_owned()),
            existing_secret: String::new(),
        }
    }
}

/// `server.uiConfig.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UiConfig {
    /// set PREFECT_UI_ENABLED; enable the UI on the server
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// sets PREFECT_UI_API_URL, which must be the ingress's address when the UI is opened from outside the cluster
    #[schemars(
        description = "sets PREFECT_UI_API_URL; If you want to connect to the UI from somewhere external to the cluster (i.e. via an ingress), you need to set this value to the ingress URL (e.g. http://app.internal.prefect.com/api). You can find additional documentation on this here - https://docs.prefect.io/v3/manage/self-host#ui"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefect_ui_api_url: Option<String>,
    /// sets PREFECT_UI_STATIC_DIRECTORY
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefect_ui_static_directory: Option<String>,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self {
            enabled: Some(true),
            prefect_ui_api_url: Some("http://localhost:4200/api".to_owned()),
            prefect_ui_static_directory: Some("/ui_build".to_owned()),
        }
    }
}

/// `server.autoscaling.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Autoscaling {
    /// enable autoscaling for server
    #[serde(default)]
    pub enabled: bool,
    /// minimum number of server replicas
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i64>,
    /// maximum number of server replicas
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i64>,
    /// target CPU utilization percentage
    #[serde(rename = "targetCPU", skip_serializing_if = "Option::is_none")]
    pub target_cpu: Option<i64>,
    /// target Memory utilization percentage
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_memory: Option<i64>,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            enabled: false,
            min_replicas: Some(1),
            max_replicas: Some(100),
            target_cpu: Some(80),
            target_memory: Some(80),
        }
    }
}
