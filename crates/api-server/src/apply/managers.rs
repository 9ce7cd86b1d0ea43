//! The record of who owns which fields: `metadata.managedFields`.

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use crate::meta;

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) name: String,
    /// `Apply` or `Update`.
    pub(crate) operation: &'static str,
    pub(crate) subresource: Option<String>,
}

/// One entry of the record.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: String,
    pub(super) subresource: String,
    pub(super) api_version: String,
    pub(super) time: String,
    pub(super) fields: FieldSet,
}

impl Manager {
    pub(super) fn new(writer: &Writer, object: &Value, fields: FieldSet) -> Self {
        Self {
            name: writer.name.clone(),
            operation: writer.operation.to_owned(),
            subresource: writer.subresource.clone().unwrap_or_default(),
            api_version: meta::text(object, "/apiVersion").to_owned(),
            time: meta::now(),
            fields,
        }
    }

    pub(super) fn is(&self, writer: &Writer) -> bool {
        self.name == writer.name
            && self.operation == writer.operation
            && self.subresource == writer.subresource.as_deref().unwrap_or_default()
    }

    /// As messages about conflicts name a manager.
    pub(super) fn described(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == "Update" {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }

    fn read(entry: &Value) -> Self {
        let text = |pointer: &str| meta::text(entry, pointer).to_owned();
        Self {
            name: text("/manager"),
            operation: text("/operation"),
            subresource: text("/subresource"),
            api_version: text("/apiVersion"),
            time: text("/time"),
            fields: FieldSet::from_record(&entry["fieldsV1"]),
        }
    }

    fn write(self) -> Value {
        let mut entry = Map::new();
        entry.insert("manager".into(), self.name.into());
        entry.insert("operation".into(), self.operation.into());
        entry.insert("apiVersion".into(), self.api_version.into());
        entry.insert("time".into(), self.time.into());
        entry.insert("fieldsType".into(), "FieldsV1".into());
        entry.insert("fieldsV1".into(), self.fields.to_record());
        if !self.subresource.is_empty() {
            entry.insert("subresource".into(), self.subresource.into());
        }
        entry.into()
    }
}

/// The managers of a record.
pub(super) fn read(record: &Value) -> Vec<Manager> {
    let entries = record.as_array();
    let named = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"].is_string());
    named.map(Manager::read).collect()
}

/// Writes those managers that own anything.
pub(super) fn write(object: &mut Value, managers: Vec<Manager>) {
    let owning = managers.into_iter().filter(|manager| !manager.fields.is_empty());
    let entries: Vec<Value> = owning.map(Manager::write).collect();
    let metadata = meta::metadata(object);
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), entries.into());
    }
}
