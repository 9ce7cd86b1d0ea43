//! The StatefulSet of the database.

use serde_json::{Value, json};

use super::Database;
use crate::{chart::bare, error::RenderError, object::Object, values::Table};

impl Database<'_> {
    pub(super) fn stateful_set(&self) -> Result<Object, RenderError> {
        let primary = &self.values.primary;
        let mut labels = self.common_labels.clone();
        labels.extend(self.scope.table("primary.labels", &primary.labels)?);
        let mut labels = self.labelling().under(&labels);
        labels.insert("app.kubernetes.io/component".to_owned(), "primary".into());
        let annotations = self.annotations("primary.annotations", &primary.annotations)?;
        let mut spec = Table::new();
        spec.insert("replicas".to_owned(), 1.into());
        spec.insert("serviceName".to_owned(), bare(&self.headless_name()));
        if !primary.update_strategy.is_empty() {
            spec.insert(
                "updateStrategy".to_owned(),
                primary.update_strategy.clone().into(),
            );
        }
        spec.insert("selector".to_owned(), json!({"matchLabels": self.selector()}));
        spec.insert(
            "template".to_owned(),
            json!({"metadata": self.pod_metadata()?, "spec": self.pod_spec()?}),
        );
        let persistence = &primary.persistence;
        if persistence.enabled && persistence.existing_claim.is_empty() {
            spec.insert("volumeClaimTemplates".to_owned(), json!([self.claim_template()?]));
        }
        Ok(Object::new(json!({
            "apiVersion": self.capabilities.stateful_set(),
            "kind": "StatefulSet",
            "metadata": self.metadata(&self.fullname, labels, annotations),
            "spec": spec,
        })))
    }

    fn pod_metadata(&self) -> Result<Table, RenderError> {
        let mut labels = self.labelling().under(&self.pod_labels);
        labels.insert("app.kubernetes.io/component".to_owned(), "primary".into());
        let mut annotations = self.checksums()?;
        annotations.extend(
            self.scope
                .table("primary.podAnnotations", &self.values.primary.pod_annotations)?,
        );
        let mut metadata = Table::new();
        metadata.insert("name".to_owned(), bare(&self.fullname));
        metadata.insert("labels".to_owned(), labels.into());
        if !annotations.is_empty() {
            metadata.insert("annotations".to_owned(), annotations.into());
        }
        Ok(metadata)
    }

    fn claim_template(&self) -> Result<Value, RenderError> {
        let persistence = &self.values.primary.persistence;
        let mut metadata = Table::new();
        metadata.insert("name".to_owned(), "data".into());
        let mut spec = Table::new();
        let modes: Vec<Value> = persistence.access_modes.iter().map(as_text).collect();
        spec.insert("accessModes".to_owned(), modes.into());
        spec.insert(
            "resources".to_owned(),
            json!({"requests": {"storage": persistence.size}}),
        );
        let storage_class = super::first(&[&self.global.storage_class, &persistence.storage_class]);
        match storage_class {
            "" => {}
            "-" => {
                spec.insert("storageClassName".to_owned(), "".into());
            }
            name => {
                spec.insert("storageClassName".to_owned(), bare(name));
            }
        }
        let key = "primary.persistence.annotations";
        self.insert_table(&mut metadata, "annotations", key, &persistence.annotations)?;
        self.insert_table(
            &mut metadata,
            "labels",
            "primary.persistence.labels",
            &persistence.labels,
        )?;
        self.insert_table(
            &mut spec,
            "dataSource",
            "primary.persistence.dataSource",
            &persistence.data_source,
        )?;
        self.insert_table(
            &mut spec,
            "selector",
            "primary.persistence.selector",
            &persistence.selector,
        )?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": spec,
        }))
    }

    /// Adds a map whose texts may be templates, unless it is empty.
    pub(super) fn insert_table(
        &self,
        into: &mut Table,
        name: &str,
        key: &str,
        table: &Table,
    ) -> Result<(), RenderError> {
        if !table.is_empty() {
            into.insert(name.to_owned(), self.scope.table(key, table)?.into());
        }
        Ok(())
    }

    /// Adds a list whose texts may be templates, unless it is empty.
    pub(super) fn insert_list(
        &self,
        into: &mut Table,
        name: &str,
        key: &str,
        list: &[Value],
    ) -> Result<(), RenderError> {
        if !list.is_empty() {
            into.insert(name.to_owned(), self.scope.list(key, list)?.into());
        }
        Ok(())
    }
}

/// A value that the chart puts in quotes.
fn as_text(value: &Value) -> Value {
    match value {
        Value::String(_) | Value::Null => value.clone(),
        other => other.to_string().into(),
    }
}
