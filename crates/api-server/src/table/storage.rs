//! Claims, volumes and their classes.

use serde_json::Value;

use super::{Column, cell::*, column, wide};
use crate::meta;

/// The columns after the name, of the kinds of this module.
pub(super) fn columns(kind: &str) -> Option<Vec<Column>> {
    Some(match kind {
        "PersistentVolumeClaim" => claim_columns(),
        "PersistentVolume" => volume_columns(),
        "StorageClass" => class_columns(),
        _ => return None,
    })
}

fn claim_columns() -> Vec<Column> {
    vec![
        column("Status", |object| {
            if meta::is_deleting(object) {
                "Terminating".into()
            } else {
                object["status"]["phase"].clone()
            }
        }),
        column("Volume", |object| plain(&object["spec"]["volumeName"]).into()),
        column("Capacity", |object| {
            plain(&object["status"]["capacity"]["storage"]).into()
        }),
        column("Access Modes", |object| {
            access_modes(&object["status"]["accessModes"])
        }),
        column("StorageClass", |object| {
            plain(&object["spec"]["storageClassName"]).into()
        }),
        column("VolumeAttributesClass", |_| "<unset>".into()),
        AGE,
        wide("VolumeMode", |object| object["spec"]["volumeMode"].clone()),
    ]
}

fn volume_columns() -> Vec<Column> {
    vec![
        column("Capacity", |object| object["spec"]["capacity"]["storage"].clone()),
        column("Access Modes", |object| {
            access_modes(&object["spec"]["accessModes"])
        }),
        column("Reclaim Policy", |object| {
            object["spec"]["persistentVolumeReclaimPolicy"].clone()
        }),
        column("Status", |object| object["status"]["phase"].clone()),
        column("Claim", |object| {
            let claim = &object["spec"]["claimRef"];
            if claim.is_null() {
                return "".into();
            }
            format!("{}/{}", plain(&claim["namespace"]), plain(&claim["name"])).into()
        }),
        column("StorageClass", |object| {
            plain(&object["spec"]["storageClassName"]).into()
        }),
        column("VolumeAttributesClass", |_| "<unset>".into()),
        column("Reason", |object| plain(&object["status"]["reason"]).into()),
        AGE,
        wide("VolumeMode", |object| object["spec"]["volumeMode"].clone()),
    ]
}

fn access_modes(modes: &Value) -> Value {
    joined_or_empty(modes, |mode| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO".into(),
        Some("ReadOnlyMany") => "ROX".into(),
        Some("ReadWriteMany") => "RWX".into(),
        Some("ReadWriteOncePod") => "RWOP".into(),
        _ => plain(mode),
    })
}

fn class_columns() -> Vec<Column> {
    vec![
        column("Provisioner", |object| object["provisioner"].clone()),
        column("ReclaimPolicy", |object| object["reclaimPolicy"].clone()),
        column("VolumeBindingMode", |object| object["volumeBindingMode"].clone()),
        column("AllowVolumeExpansion", |object| {
            (object["allowVolumeExpansion"] == true).into()
        }),
        AGE,
    ]
}
