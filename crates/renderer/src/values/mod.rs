//! The chart's values as types. A field's description is the chart's own; the JSON form carries the
//! chart's keys. A key that the user deleted (`null` in helm) is `None`, or empty where the chart
//! cannot tell the two apart.

mod background_services;
mod ingress;
pub mod postgresql;
mod server;
mod workload;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use background_services::BackgroundServices;
pub use ingress::{Ingress, IngressHost};
pub use postgresql::Postgresql;
pub use server::{Autoscaling, BasicAuth, Server, UiConfig};
pub use workload::{
    ContainerSecurityContext, PodSecurityContext, Probe, ProbeConfig, Resources, SeccompProfile,
    SeccompProfileKind,
};

/// A block whose keys are the user's own.
pub type Table = serde_json::Map<String, Value>;

pub(crate) fn table(value: Value) -> Table {
    match value {
        Value::Object(table) => table,
        other => unreachable!("the literal {other} is an object"),
    }
}

/// All values of the chart. `Values::default()` is what an installation without any settings has;
/// [`Layers`](crate::Layers) makes values from files and `--set` expressions.
///
/// ```
/// let mut values = prefect_e2e_renderer::Values::default();
/// values.server.replica_count = Some(3);
/// assert_eq!(values.service.port.to_string(), "4200");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Values of the prefect-server chart")]
pub struct Values {
    /// partially overrides common.names.name
    #[serde(default)]
    pub name_override: String,
    /// fully override common.names.fullname
    #[serde(default)]
    pub fullname_override: String,
    /// fully override common.names.namespace
    #[serde(default)]
    pub namespace_override: String,
    /// labels to add to all deployed objects
    #[serde(default)]
    pub common_labels: Table,
    /// annotations to add to all deployed objects
    #[serde(default)]
    pub common_annotations: Table,
    /// Values that every chart of the release sees
    pub global: Global,
    /// The web server
    pub server: Server,
    /// The background services
    pub background_services: BackgroundServices,
    /// The Service in front of the web server
    pub service: Service,
    /// The ServiceAccount of the web server
    pub service_account: ServiceAccount,
    /// The way in from outside the cluster
    pub ingress: Ingress,
    /// The embedded database
    pub sqlite: Sqlite,
    /// The Secret with the connection string of the database
    pub secret: Secret,
    /// The bundled database
    pub postgresql: Postgresql,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            name_override: String::new(),
            fullname_override: "prefect-server".to_owned(),
            namespace_override: String::new(),
            common_labels: Table::new(),
            common_annotations: Table::new(),
            global: Global::default(),
            server: Server::default(),
            background_services: BackgroundServices::default(),
            service: Service::default(),
            service_account: ServiceAccount::default(),
            ingress: Ingress::default(),
            sqlite: Sqlite::default(),
            secret: Secret::default(),
            postgresql: Postgresql::default(),
        }
    }
}

/// `global.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Global {
    /// What all Prefect containers have in common
    pub prefect: GlobalPrefect,
    /// registry that replaces the one of the bundled PostgreSQL's images
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image_registry: String,
    /// pull secrets of the bundled PostgreSQL's images, before its own
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<Value>,
    /// storage class that replaces the one of the bundled PostgreSQL's claim
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub storage_class: String,
    /// Settings of the bundled PostgreSQL that win over `postgresql.*`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<postgresql::GlobalPostgresql>,
}

/// `global.prefect.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalPrefect {
    /// The image of all Prefect containers
    pub image: PrefectImage,
    /// array with environment variables to add to all deployments
    #[serde(default)]
    pub env: Vec<Table>,
}

/// `global.prefect.image.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrefectImage {
    /// prefect image repository
    #[serde(default)]
    pub repository: String,
    /// prefect image tag (immutable tags are recommended)
    #[serde(default)]
    pub prefect_tag: String,
    /// prefect image pull policy
    #[serde(default)]
    pub pull_policy: String,
    /// prefect image pull secrets
    #[serde(default)]
    pub pull_secrets: Vec<String>,
}

impl Default for PrefectImage {
    fn default() -> Self {
        Self {
            repository: "prefecthq/prefect".to_owned(),
            prefect_tag: "3-latest".to_owned(),
            pull_policy: "IfNotPresent".to_owned(),
            pull_secrets: Vec::new(),
        }
    }
}

/// `service.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// service type
    #[serde(rename = "type")]
    pub kind: String,
    /// service port
    pub port: IntOrString,
    /// target port of the server pod; also sets PREFECT_SERVER_API_PORT
    pub target_port: IntOrString,
    /// service port if defining service as type nodeport
    #[serde(default)]
    pub node_port: IntOrString,
    /// service Cluster IP
    #[serde(default, rename = "clusterIP")]
    pub cluster_ip: String,
    /// service external traffic policy
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<String>,
    /// Annotations of the Service
    #[schemars(description = "")]
    #[serde(default)]
    pub annotations: Table,
    /// More ports of the Service, each with name, port and targetPort
    #[schemars(description = "")]
    #[serde(default)]
    pub extra_ports: Vec<ExtraPort>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            kind: "ClusterIP".to_owned(),
            port: IntOrString::Int(4200),
            target_port: IntOrString::Int(4200),
            node_port: IntOrString::default(),
            cluster_ip: String::new(),
            external_traffic_policy: Some("Cluster".to_owned()),
            annotations: Table::new(),
            extra_ports: Vec::new(),
        }
    }
}

/// An item of `service.extraPorts`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtraPort {
    /// Name of the port
    pub name: String,
    /// Port of the Service
    pub port: IntOrString,
    /// Port of the pod
    pub target_port: IntOrString,
    /// Port of the node, used when the Service is of the type NodePort or LoadBalancer
    #[serde(default)]
    pub node_port: IntOrString,
    /// Other keys, which the chart passes over
    #[serde(flatten)]
    pub other: Table,
}

/// `serviceAccount.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccount {
    /// specifies whether a service account should be created
    #[serde(default)]
    pub create: bool,
    /// the name of the service account to use. if not set and create is true, a name is generated using the common.names.fullname template
    #[serde(default)]
    pub name: String,
    /// additional service account annotations (evaluated as a template)
    #[serde(default)]
    pub annotations: Table,
}

impl Default for ServiceAccount {
    fn default() -> Self {
        Self {
            create: true,
            name: String::new(),
            annotations: Table::new(),
        }
    }
}

/// `sqlite.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sqlite {
    /// enable use of the embedded SQLite database
    #[serde(default)]
    pub enabled: bool,
    /// The claim that keeps the database
    pub persistence: SqlitePersistence,
}

/// `sqlite.persistence.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlitePersistence {
    /// enable SQLite data persistence using PVC
    #[serde(default)]
    pub enabled: bool,
    /// size for the PVC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// storage class name for the PVC
    #[serde(default)]
    pub storage_class_name: String,
}

impl Default for SqlitePersistence {
    fn default() -> Self {
        Self {
            enabled: true,
            size: Some("1Gi".to_owned()),
            storage_class_name: String::new(),
        }
    }
}

/// `secret.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// whether to create a Secret containing the PostgreSQL connection string
    #[serde(default)]
    pub create: bool,
    /// name for the Secret containing the PostgreSQL connection string To provide an existing Secret, provide a name and set `create=false`
    #[serde(default)]
    pub name: String,
    /// username for the PostgreSQL connection string
    #[serde(default)]
    pub username: String,
    /// password for the PostgreSQL connection string
    #[serde(default)]
    pub password: String,
    /// host for the PostgreSQL connection string
    #[serde(default)]
    pub host: String,
    /// port for the PostgreSQL connection string
    #[serde(default)]
    pub port: IntOrString,
    /// database for the PostgreSQL connection string
    #[serde(default)]
    pub database: String,
}

impl Default for Secret {
    fn default() -> Self {
        Self {
            create: true,
            name: String::new(),
            username: String::new(),
            password: String::new(),
            host: String::new(),
            port: IntOrString::default(),
            database: String::new(),
        }
    }
}

/// A port, by number or as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum IntOrString {
    /// A number
    Int(i64),
    /// A text; empty means unset
    String(String),
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::String(String::new())
    }
}

impl std::fmt::Display for IntOrString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::String(text) => f.pad(text),
        }
    }
}

impl IntOrString {
    /// Whether the chart's templates take it as unset: an empty text or zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Int(0)) || matches!(self, Self::String(text) if text.is_empty())
    }
}

impl Values {
    /// Takes complete values from their JSON form; a key that is missing was deleted. The path and
    /// the problem of what does not fit are given back.
    pub(crate) fn deserialize_complete(json: Value) -> Result<Self, (Vec<String>, String)> {
        serde_path_to_error::deserialize(json).map_err(|error| {
            let mut path: Vec<String> = error
                .path()
                .iter()
                .filter_map(|segment| match segment {
                    serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                    serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
                    _ => None,
                })
                .collect();
            let problem = error.inner().to_string();
            if let Some(field) = problem
                .strip_prefix("missing field `")
                .and_then(|rest| rest.split('`').next())
            {
                path.push(field.to_owned());
            }
            (path, problem)
        })
    }
}
