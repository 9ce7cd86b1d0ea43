//! Defaults of claims, volumes and storage classes.

use serde_json::Value;

use super::default;

pub(super) fn claim(object: &mut Value) {
    claim_spec(&mut object["spec"]);
}

pub(super) fn claim_spec(spec: &mut Value) {
    default(spec, "volumeMode", "Filesystem");
}

pub(super) fn volume(object: &mut Value) {
    let spec = &mut object["spec"];
    default(spec, "persistentVolumeReclaimPolicy", "Retain");
    default(spec, "volumeMode", "Filesystem");
    super::within(spec, "hostPath", |path| default(path, "type", ""));
}

pub(super) fn class(object: &mut Value) {
    default(object, "reclaimPolicy", "Delete");
    default(object, "volumeBindingMode", "Immediate");
}
