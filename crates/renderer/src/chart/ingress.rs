//! The way in from outside the cluster.

use serde_json::{Value, json};

use super::{Chart, scope::bare};
use crate::{error::RenderError, object::Object, values::Table};

/// Annotations that ask cert-manager for a certificate.
const CERT_MANAGER: [&str; 3] = [
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/issuer",
    "kubernetes.io/tls-acme",
];

impl Chart<'_> {
    pub(super) fn ingress(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        let values = &self.values.ingress;
        if !values.enabled {
            return Ok(());
        }
        let mut annotations = self.scope.table("ingress.annotations", &values.annotations)?;
        annotations.extend(self.common_annotations.clone());
        let mut spec = Table::new();
        if !values.class_name.is_empty() && self.capabilities.has_ingress_class_name() {
            spec.insert("ingressClassName".to_owned(), values.class_name.as_str().into());
        }
        spec.insert("rules".to_owned(), self.ingress_rules()?.into());
        let tls = self.ingress_tls()?;
        if !tls.is_empty() {
            spec.insert("tls".to_owned(), tls.into());
        }
        objects.push(Object::new(json!({
            "apiVersion": self.capabilities.ingress(),
            "kind": "Ingress",
            "metadata": self.metadata(bare(&self.fullname), Some("server"), annotations)?,
            "spec": spec,
        })));
        Ok(())
    }

    fn ingress_rules(&self) -> Result<Vec<Value>, RenderError> {
        let values = &self.values.ingress;
        let mut rules = Vec::new();
        if !values.host.hostname.is_empty() {
            let mut paths: Vec<Value> = values.extra_paths.iter().cloned().map(Value::Object).collect();
            let path = values.host.path.as_deref().map_or(Value::Null, bare);
            let path_type = values.host.path_type.as_deref().map_or(Value::Null, bare);
            paths.push(self.ingress_path(&path, &path_type));
            rules.push(json!({"host": values.host.hostname, "http": {"paths": paths}}));
        }
        for host in &values.extra_hosts {
            let setting = |key: &str, default: &str| match host.get(key) {
                Some(Value::String(text)) if !text.is_empty() => bare(text),
                _ => bare(default),
            };
            let path = self.ingress_path(
                &setting("path", "/"),
                &setting("pathType", "ImplementationSpecific"),
            );
            let name = host
                .get("name")
                .filter(|name| !name.is_null())
                .map(|name| match name {
                    Value::String(name) => name.clone(),
                    other => other.to_string(),
                });
            rules.push(json!({"host": name, "http": {"paths": [path]}}));
        }
        rules.extend(self.scope.list("ingress.extraRules", &values.extra_rules)?);
        Ok(rules)
    }

    fn ingress_path(&self, path: &Value, path_type: &Value) -> Value {
        let port = self
            .values
            .ingress
            .service_port
            .as_deref()
            .map_or(Value::Null, bare);
        let mut entry = json!({"path": path});
        if self.capabilities.has_path_type() {
            entry["pathType"] = path_type.clone();
        }
        entry["backend"] = if self.capabilities.has_service_backend() {
            json!({"service": {"name": bare(&self.fullname), "port": {"name": port}}})
        } else {
            json!({"serviceName": bare(&self.fullname), "servicePort": port})
        };
        entry
    }

    /// The host gets a certificate when somebody is asked to make one.
    fn ingress_tls(&self) -> Result<Vec<Value>, RenderError> {
        let values = &self.values.ingress;
        let requested = CERT_MANAGER
            .iter()
            .any(|name| values.annotations.contains_key(*name));
        let mut tls = Vec::new();
        if values.tls && (requested || values.self_signed) {
            tls.push(json!({
                "hosts": [values.host.hostname],
                "secretName": bare(&format!("{}-tls", values.host.hostname)),
            }));
        }
        tls.extend(self.scope.list("ingress.extraTls", &values.extra_tls)?);
        Ok(tls)
    }
}
