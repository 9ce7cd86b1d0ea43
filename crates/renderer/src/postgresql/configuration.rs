//! ConfigMaps with the database's configuration and its first scripts.

use serde_json::{Value, json};

use sha2::{Digest as _, Sha256};

use super::Database;
use crate::{error::RenderError, go_yaml, object::Object, values::Table};

impl Database<'_> {
    pub(super) fn config_maps(&self, objects: &mut Vec<Object>) -> Result<(), RenderError> {
        for (suffix, data) in [
            ("configuration", self.configuration()?),
            ("extended-configuration", self.extended_configuration()?),
        ] {
            if !data.is_empty() {
                objects.push(self.config_map(suffix, true, &data)?);
            }
        }
        let initdb = &self.values.primary.initdb;
        if !initdb.scripts.is_empty() && initdb.scripts_config_map.is_empty() {
            let scripts = self.scope.table("primary.initdb.scripts", &initdb.scripts)?;
            objects.push(self.config_map("init-scripts", false, &scripts)?);
        }
        Ok(())
    }

    fn config_map(&self, suffix: &str, of_primary: bool, data: &Table) -> Result<Object, RenderError> {
        let name = format!("{}-{suffix}", self.fullname);
        Ok(Object::new(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(&name, self.labels(of_primary), self.common_annotations.clone()),
            "data": data,
        })))
    }

    /// The whole configuration, empty where the user brings a ConfigMap or none is wanted.
    fn configuration(&self) -> Result<Table, RenderError> {
        let primary = &self.values.primary;
        let mut data = Table::new();
        if !primary.existing_configmap.is_empty() {
            return Ok(data);
        }
        if !primary.configuration.is_empty() {
            let text = self.scope.text("primary.configuration", &primary.configuration)?;
            data.insert("postgresql.conf".to_owned(), stripped(&text));
        }
        if !primary.pg_hba_configuration.is_empty() {
            let text = self
                .scope
                .text("primary.pgHbaConfiguration", &primary.pg_hba_configuration)?;
            data.insert("pg_hba.conf".to_owned(), clipped(&text));
        }
        Ok(data)
    }

    fn extended_configuration(&self) -> Result<Table, RenderError> {
        let primary = &self.values.primary;
        let mut data = Table::new();
        if primary.existing_extended_configmap.is_empty() && !primary.extended_configuration.is_empty() {
            let text = self
                .scope
                .text("primary.extendedConfiguration", &primary.extended_configuration)?;
            data.insert("override.conf".to_owned(), stripped(&text));
        }
        Ok(data)
    }

    /// Annotations that replace the pod when the configuration changes.
    pub(super) fn checksums(&self) -> Result<Table, RenderError> {
        let mut annotations = Table::new();
        for (name, data) in [
            ("checksum/configuration", self.configuration()?),
            ("checksum/extended-configuration", self.extended_configuration()?),
        ] {
            if !data.is_empty() {
                annotations.insert(name.to_owned(), digest(&json!({"data": data})).into());
            }
        }
        Ok(annotations)
    }

    /// The ConfigMap that is mounted as the whole configuration, if any.
    pub(super) fn configuration_name(&self) -> Result<Option<String>, RenderError> {
        let primary = &self.values.primary;
        if !primary.existing_configmap.is_empty() {
            return self
                .scope
                .text("primary.existingConfigmap", &primary.existing_configmap)
                .map(Some);
        }
        let wanted = !primary.configuration.is_empty() || !primary.pg_hba_configuration.is_empty();
        Ok(wanted.then(|| format!("{}-configuration", self.fullname)))
    }

    /// The ConfigMap that is mounted as the appended configuration, if any.
    pub(super) fn extended_configuration_name(&self) -> Result<Option<String>, RenderError> {
        let primary = &self.values.primary;
        let existing = &primary.existing_extended_configmap;
        if !existing.is_empty() {
            return self
                .scope
                .text("primary.existingExtendedConfigmap", existing)
                .map(Some);
        }
        let wanted = !primary.extended_configuration.is_empty();
        Ok(wanted.then(|| format!("{}-extended-configuration", self.fullname)))
    }

    /// The ConfigMap with scripts for the first start, if any.
    pub(super) fn scripts_name(&self) -> Result<Option<String>, RenderError> {
        let initdb = &self.values.primary.initdb;
        if !initdb.scripts_config_map.is_empty() {
            return self
                .scope
                .text("primary.initdb.scriptsConfigMap", &initdb.scripts_config_map)
                .map(Some);
        }
        Ok((!initdb.scripts.is_empty()).then(|| format!("{}-init-scripts", self.fullname)))
    }
}

/// The digest of a value's YAML.
fn digest(value: &Value) -> String {
    let text = go_yaml::to_yaml(value);
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A text in a block that drops the line breaks at its end.
fn stripped(text: &str) -> Value {
    text.trim_end_matches('\n').into()
}

/// A text in a block that keeps one line break at its end.
fn clipped(text: &str) -> Value {
    format!("{}\n", text.trim_end_matches('\n')).into()
}
