//! The pod of the database: where it runs, and what it mounts.

use serde_json::{Value, json};

use super::{Database, services::number_or_text};
use crate::{chart::bare, error::RenderError, values::Table};

impl Database<'_> {
    pub(super) fn pod_spec(&self) -> Result<Table, RenderError> {
        let primary = &self.values.primary;
        let mut spec = self
            .scope
            .table("primary.extraPodSpec", &primary.extra_pod_spec)?;
        spec.insert(
            "serviceAccountName".to_owned(),
            bare(&self.service_account_name()),
        );
        let pull_secrets = self.image_pull_secrets();
        if !pull_secrets.is_empty() {
            spec.insert("imagePullSecrets".to_owned(), pull_secrets.into());
        }
        self.insert_list(
            &mut spec,
            "hostAliases",
            "primary.hostAliases",
            &primary.host_aliases,
        )?;
        self.scheduling(&mut spec)?;
        if is_enabled(&primary.pod_security_context) {
            spec.insert(
                "securityContext".to_owned(),
                without_enabled(&primary.pod_security_context),
            );
        }
        spec.insert("hostNetwork".to_owned(), primary.host_network.into());
        spec.insert("hostIPC".to_owned(), primary.host_ipc.into());
        let init_containers = self.init_containers()?;
        if !init_containers.is_empty() {
            spec.insert("initContainers".to_owned(), init_containers.into());
        }
        let mut containers = vec![Value::Object(self.container()?)];
        containers.extend(self.scope.list("primary.sidecars", &primary.sidecars)?);
        spec.insert("containers".to_owned(), containers.into());
        spec.insert("volumes".to_owned(), self.volumes()?.into());
        Ok(spec)
    }

    fn scheduling(&self, spec: &mut Table) -> Result<(), RenderError> {
        let primary = &self.values.primary;
        if primary.affinity.is_empty() {
            spec.insert("affinity".to_owned(), self.preset_affinity()?);
        } else {
            self.insert_table(spec, "affinity", "primary.affinity", &primary.affinity)?;
        }
        self.insert_table(
            spec,
            "nodeSelector",
            "primary.nodeSelector",
            &primary.node_selector,
        )?;
        self.insert_list(spec, "tolerations", "primary.tolerations", &primary.tolerations)?;
        let key = "primary.topologySpreadConstraints";
        self.insert_list(
            spec,
            "topologySpreadConstraints",
            key,
            &primary.topology_spread_constraints,
        )?;
        if !primary.priority_class_name.is_empty() {
            spec.insert("priorityClassName".to_owned(), bare(&primary.priority_class_name));
        }
        if !primary.scheduler_name.is_empty() {
            spec.insert("schedulerName".to_owned(), primary.scheduler_name.as_str().into());
        }
        let grace = &primary.termination_grace_period_seconds;
        if !grace.is_empty() {
            spec.insert("terminationGracePeriodSeconds".to_owned(), number_or_text(grace));
        }
        Ok(())
    }

    fn preset_affinity(&self) -> Result<Value, RenderError> {
        let primary = &self.values.primary;
        let selector = self.selector();
        let to_pods = |preset: &str| {
            let term = json!({
                "labelSelector": {"matchLabels": selector},
                "topologyKey": "kubernetes.io/hostname",
            });
            match preset {
                "soft" => json!({
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": term, "weight": 1}],
                }),
                "hard" => json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]}),
                _ => Value::Null,
            }
        };
        let nodes = &primary.node_affinity_preset;
        let values: Vec<Value> = nodes
            .values
            .iter()
            .map(|value| match value {
                Value::String(_) => value.clone(),
                other => other.to_string().into(),
            })
            .collect();
        let expressions =
            json!({"matchExpressions": [{"key": bare(&nodes.key), "operator": "In", "values": values}]});
        let to_nodes = match nodes.kind.as_str() {
            "soft" => json!({
                "preferredDuringSchedulingIgnoredDuringExecution": [{"preference": expressions, "weight": 1}],
            }),
            "hard" => json!({
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [expressions]},
            }),
            _ => Value::Null,
        };
        Ok(json!({
            "podAffinity": to_pods(&primary.pod_affinity_preset),
            "podAntiAffinity": to_pods(&primary.pod_anti_affinity_preset),
            "nodeAffinity": to_nodes,
        }))
    }

    fn volumes(&self) -> Result<Vec<Value>, RenderError> {
        let primary = &self.values.primary;
        let mut volumes = Vec::new();
        let config_map =
            |volume: &str, name: &str| json!({"name": volume, "configMap": {"name": bare(name)}});
        let secret = |volume: &str, name: &str| json!({"name": volume, "secret": {"secretName": bare(name)}});
        if let Some(name) = self.configuration_name()? {
            volumes.push(config_map("postgresql-config", &name));
        }
        if let Some(name) = self.extended_configuration_name()? {
            volumes.push(config_map("postgresql-extended-config", &name));
        }
        if self.values.auth.use_password_files {
            volumes.push(secret("postgresql-password", &self.secret_name()?));
        }
        if let Some(name) = self.scripts_name()? {
            volumes.push(config_map("custom-init-scripts", &name));
        }
        if !primary.initdb.scripts_secret.is_empty() {
            let name = self
                .scope
                .text("primary.initdb.scriptsSecret", &primary.initdb.scripts_secret)?;
            volumes.push(secret("custom-init-scripts-secret", &name));
        }
        if self.values.tls.enabled {
            volumes.push(secret("raw-certificates", self.certificates_secret()?));
            volumes.push(json!({"name": "postgresql-certificates", "emptyDir": {}}));
        }
        volumes.extend(self.scope.list("primary.extraVolumes", &primary.extra_volumes)?);
        let shared_memory = &self.values.shm_volume;
        if shared_memory.enabled {
            let mut directory = json!({"medium": "Memory"});
            if !shared_memory.size_limit.is_empty() {
                directory["sizeLimit"] = bare(&shared_memory.size_limit);
            }
            volumes.push(json!({"name": "dshm", "emptyDir": directory}));
        }
        let persistence = &primary.persistence;
        if !persistence.enabled {
            volumes.push(json!({"name": "data", "emptyDir": {}}));
        } else if !persistence.existing_claim.is_empty() {
            let claim = self
                .scope
                .text("primary.persistence.existingClaim", &persistence.existing_claim)?;
            volumes.push(json!({"name": "data", "persistentVolumeClaim": {"claimName": bare(&claim)}}));
        }
        Ok(volumes)
    }
}

/// Whether a block of settings is switched on by its own key `enabled`.
pub(super) fn is_enabled(block: &Table) -> bool {
    block.get("enabled") == Some(&Value::Bool(true))
}

/// A block of settings without the switch.
pub(super) fn without_enabled(block: &Table) -> Value {
    let mut block = block.clone();
    block.shift_remove("enabled");
    block.into()
}
