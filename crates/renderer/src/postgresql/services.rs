//! The Services of the database.

use serde_json::{Value, json};

use super::Database;
use crate::{
    chart::bare,
    error::RenderError,
    object::Object,
    values::{IntOrString, Table},
};

impl Database<'_> {
    pub(super) fn services(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        objects.push(self.headless_service()?);
        objects.push(self.primary_service()?);
        Ok(())
    }

    fn headless_service(&self) -> Result<Object, RenderError> {
        let service = &self.values.primary.service;
        let mut annotations = self.annotations(
            "primary.service.headless.annotations",
            &service.headless.annotations,
        )?;
        annotations.insert(
            "service.alpha.kubernetes.io/tolerate-unready-endpoints".to_owned(),
            "true".into(),
        );
        Ok(Object::new(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(&self.headless_name(), self.labels(true), annotations),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "ports": [{
                    "name": "tcp-postgresql",
                    "port": bare(&self.service_port()),
                    "targetPort": "tcp-postgresql",
                }],
                "selector": self.selector(),
            },
        })))
    }

    fn primary_service(&self) -> Result<Object, RenderError> {
        let service = &self.values.primary.service;
        let kind = service.kind.as_str();
        let on_nodes = matches!(kind, "LoadBalancer" | "NodePort");
        let mut spec = Table::new();
        spec.insert("type".to_owned(), bare(kind));
        if on_nodes {
            spec.insert(
                "externalTrafficPolicy".to_owned(),
                service.external_traffic_policy.clone().into(),
            );
        }
        if kind == "LoadBalancer" {
            if !service.load_balancer_source_ranges.is_empty() {
                let ranges = service.load_balancer_source_ranges.clone();
                spec.insert("loadBalancerSourceRanges".to_owned(), ranges.into());
            }
            if !service.load_balancer_ip.is_empty() {
                spec.insert("loadBalancerIP".to_owned(), bare(&service.load_balancer_ip));
            }
        }
        if kind == "ClusterIP" && !service.cluster_ip.is_empty() {
            spec.insert("clusterIP".to_owned(), bare(&service.cluster_ip));
        }
        if !service.session_affinity.is_empty() {
            spec.insert("sessionAffinity".to_owned(), bare(&service.session_affinity));
        }
        if !service.session_affinity_config.is_empty() {
            let key = "primary.service.sessionAffinityConfig";
            let config = self.scope.table(key, &service.session_affinity_config)?;
            spec.insert("sessionAffinityConfig".to_owned(), config.into());
        }
        let mut port = json!({
            "name": "tcp-postgresql",
            "port": bare(&self.service_port()),
            "targetPort": "tcp-postgresql",
        });
        let node_port = &service.node_ports.postgresql;
        if on_nodes && !node_port.is_empty() {
            port["nodePort"] = number_or_text(node_port);
        }
        let mut ports = vec![port];
        ports.extend(
            self.scope
                .list("primary.service.extraPorts", &service.extra_ports)?,
        );
        spec.insert("ports".to_owned(), ports.into());
        spec.insert("selector".to_owned(), self.selector().into());
        let annotations = self.annotations("primary.service.annotations", &service.annotations)?;
        Ok(Object::new(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(&self.fullname, self.labels(true), annotations),
            "spec": spec,
        })))
    }
}

/// A port that the chart writes without quotes.
pub(super) fn number_or_text(port: &IntOrString) -> Value {
    bare(&port.to_string())
}
