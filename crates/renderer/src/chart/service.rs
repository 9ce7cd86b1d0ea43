//! The Service in front of the web server.

use serde_json::{Value, json};

use super::{Chart, scope::bare, workload::bare_port};
use crate::{
    error::RenderError,
    object::Object,
    values::{IntOrString, Table},
};

impl Chart<'_> {
    pub(super) fn service(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        let values = &self.values.service;
        let mut annotations = self.scope.table("service.annotations", &values.annotations)?;
        annotations.extend(self.common_annotations.clone());
        let mut spec = Table::new();
        spec.insert("type".to_owned(), bare(&values.kind));
        if !values.cluster_ip.is_empty() && values.kind == "ClusterIP" {
            spec.insert("clusterIP".to_owned(), bare(&values.cluster_ip));
        }
        if values.kind == "NodePort" {
            spec.insert(
                "externalTrafficPolicy".to_owned(),
                values.external_traffic_policy.clone().into(),
            );
        }
        let mut ports = vec![self.port(
            "server-svc-port",
            &values.port,
            &values.target_port,
            &values.node_port,
        )];
        for port in &values.extra_ports {
            ports.push(self.port(&port.name, &port.port, &port.target_port, &port.node_port));
        }
        spec.insert("ports".to_owned(), ports.into());
        spec.insert("selector".to_owned(), self.selector("server").into());
        objects.push(Object::new(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(bare(&self.fullname), Some("server"), annotations)?,
            "spec": spec,
        })));
        Ok(())
    }

    fn port(&self, name: &str, port: &IntOrString, target: &IntOrString, node: &IntOrString) -> Value {
        let mut entry = json!({
            "name": bare(name),
            "port": bare_port(port),
            "protocol": "TCP",
            "targetPort": bare_port(target),
        });
        let on_nodes = matches!(self.values.service.kind.as_str(), "NodePort" | "LoadBalancer");
        if on_nodes && !node.is_empty() {
            entry["nodePort"] = bare_port(node);
        }
        entry
    }
}
