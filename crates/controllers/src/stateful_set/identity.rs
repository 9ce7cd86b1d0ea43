//! What makes a pod of a StatefulSet the one it is: its number, its name, its claims.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume},
};
use kube::ResourceExt as _;

use crate::{
    owner::controller_reference,
    pod::{self, REVISION_LABEL, label},
};

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The number of a pod; `None` when its name is not one of the set's.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let name = pod.name_any();
    name.strip_prefix(&set.name_any())?
        .strip_prefix('-')?
        .parse()
        .ok()
}

/// The name of the revision that the pod was made of.
pub(super) fn revision(pod: &Pod) -> Option<&str> {
    pod.labels().get(REVISION_LABEL).map(String::as_str)
}

/// The first number of the set.
pub(super) fn first_ordinal(set: &StatefulSet) -> i32 {
    let ordinals = set.spec.as_ref().and_then(|spec| spec.ordinals.as_ref());
    ordinals.and_then(|ordinals| ordinals.start).unwrap_or(0)
}

pub(super) fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    set.spec
        .as_ref()
        .and_then(|spec| spec.volume_claim_templates.as_deref())
        .unwrap_or_default()
}

/// The name of the claim made of a template for a pod.
pub(super) fn claim_name(template: &PersistentVolumeClaim, pod: &str) -> String {
    format!("{}-{pod}", template.name_any())
}

/// The pod of this number, made of a revision's template.
pub(super) fn new_pod(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let namespace = set.namespace().unwrap_or_default();
    let mut pod = pod::from_template(template, &namespace, controller_reference(set));
    pod.metadata.name = Some(format!("{}-{ordinal}", set.name_any()));
    label(&mut pod.metadata, REVISION_LABEL, revision);
    identify(set, &mut pod, ordinal);
    pod
}

/// Gives a pod what only the pod of this number has.
fn identify(set: &StatefulSet, pod: &mut Pod, ordinal: i32) {
    let name = pod.name_any();
    label(&mut pod.metadata, NAME_LABEL, &name);
    label(&mut pod.metadata, INDEX_LABEL, &ordinal.to_string());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name.clone());
    spec.subdomain = set
        .spec
        .as_ref()
        .and_then(|spec| spec.service_name.clone())
        .filter(|name| !name.is_empty());
    let volumes = spec.volumes.get_or_insert_default();
    for template in templates(set) {
        volumes.retain(|volume| volume.name != template.name_any());
        volumes.push(Volume {
            name: template.name_any(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(template, &name),
                read_only: None,
            }),
            ..Volume::default()
        });
    }
}
