//! `postgresql.primary.service.*`: the Services of the database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::values::{IntOrString, Table};

/// `postgresql.primary.service.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrimaryService {
    /// type of the Service
    #[serde(rename = "type")]
    pub kind: String,
    /// Ports of the Service
    pub ports: PrimaryServicePorts,
    /// Ports on the nodes
    pub node_ports: PrimaryServicePorts,
    /// address of the Service
    #[serde(default, rename = "clusterIP")]
    pub cluster_ip: String,
    /// annotations of the Service
    #[serde(default)]
    pub annotations: Table,
    /// address of the load balancer
    #[serde(default, rename = "loadBalancerIP")]
    pub load_balancer_ip: String,
    /// how traffic from outside is routed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<String>,
    /// addresses that may use the load balancer
    #[serde(default)]
    pub load_balancer_source_ranges: Vec<Value>,
    /// more ports
    #[serde(default)]
    pub extra_ports: Vec<Value>,
    /// `ClientIP` keeps a client at one pod
    #[serde(default)]
    pub session_affinity: String,
    /// settings of the session affinity
    #[serde(default)]
    pub session_affinity_config: Table,
    /// The headless Service
    pub headless: Headless,
}

impl Default for PrimaryService {
    fn default() -> Self {
        Self {
            kind: "ClusterIP".to_owned(),
            ports: PrimaryServicePorts {
                postgresql: IntOrString::Int(5432),
            },
            node_ports: PrimaryServicePorts::default(),
            cluster_ip: String::new(),
            annotations: Table::new(),
            load_balancer_ip: String::new(),
            external_traffic_policy: Some("Cluster".to_owned()),
            load_balancer_source_ranges: Vec::new(),
            extra_ports: Vec::new(),
            session_affinity: "None".to_owned(),
            session_affinity_config: Table::new(),
            headless: Headless::default(),
        }
    }
}

/// Ports of the database's Service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrimaryServicePorts {
    /// port of the database
    #[serde(default)]
    pub postgresql: IntOrString,
}

/// `postgresql.primary.service.headless.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Headless {
    /// annotations of the headless Service
    #[serde(default)]
    pub annotations: Table,
}
