//! Tables: what `kubectl get` prints.
//!
//! Source of the columns: `pkg/printers/internalversion` of Kubernetes 1.34.

mod cell;
mod cluster;
mod network;
mod storage;
mod workload;

use serde_json::{Value, json};

use self::cell::AGE;
use crate::{meta, registry::Kind};

/// A column: its title, whether only `-o wide` shows it, and its cell.
struct Column {
    title: &'static str,
    wide: bool,
    cell: fn(&Value) -> Value,
}

const fn column(title: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column {
        title,
        wide: false,
        cell,
    }
}

const fn wide(title: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column {
        title,
        wide: true,
        cell,
    }
}

/// The table of some objects of a kind.
pub(crate) fn table(kind: &Kind, objects: &[&Value], metadata: &Value, include: Include) -> Value {
    let columns = columns(kind);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            let format = if column.title == "Name" { "name" } else { "" };
            json!({
                "name": column.title, "type": "string", "format": format,
                "description": column.title, "priority": i32::from(column.wide),
            })
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(object)).collect();
            json!({"cells": cells, "object": include.of(object)})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// What each row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    Object,
    Nothing,
}

impl Include {
    /// Reads the `includeObject` parameter.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Object") => Self::Object,
            Some("None") => Self::Nothing,
            _ => Self::Metadata,
        }
    }

    fn of(self, object: &Value) -> Value {
        match self {
            Self::Metadata => partial(object),
            Self::Object => object.clone(),
            Self::Nothing => Value::Null,
        }
    }
}

/// The `PartialObjectMetadata` of an object.
pub(crate) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
    })
}

fn columns(kind: &Kind) -> Vec<Column> {
    let mut columns = vec![column("Name", |object| meta::name(object).into())];
    let areas = [
        workload::columns,
        network::columns,
        storage::columns,
        cluster::columns,
    ];
    let own = areas.iter().find_map(|columns| columns(kind.kind));
    columns.extend(own.unwrap_or_else(|| vec![AGE]));
    if kind.is("Event") {
        // events are told by their time, not by their name
        columns.remove(0);
    }
    if kind.is("StorageClass") {
        columns[0] = column("Name", |object| {
            let default = "storageclass.kubernetes.io/is-default-class";
            let is_default = object["metadata"]["annotations"][default] == "true";
            format!(
                "{}{}",
                meta::name(object),
                if is_default { " (default)" } else { "" }
            )
            .into()
        });
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::KINDS;

    #[test]
    fn every_kind_has_a_table_even_of_an_empty_object() {
        for kind in KINDS {
            let object = json!({"metadata": {"name": "a"}});
            let table = table(kind, &[&object], &json!({}), Include::Metadata);
            let columns = table["columnDefinitions"].as_array().unwrap().len();
            assert_eq!(
                table["rows"][0]["cells"].as_array().unwrap().len(),
                columns,
                "{}",
                kind.kind
            );
        }
    }
}
