//! The claims of a StatefulSet's pods: made when missing, kept when a pod goes, unless the set says
//! otherwise.

use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy},
        core::v1::{PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Resource, ResourceExt as _, api::Patch};
use serde_json::json;

use super::identity::{claim_name, templates};
use crate::cluster::{Cluster, patching, writing};

fn policy(set: &StatefulSet) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.persistent_volume_claim_retention_policy.clone())
        .unwrap_or_default()
}

/// Makes the claims of a pod that are not there.
pub(super) async fn create_missing(
    cluster: &Cluster,
    set: &StatefulSet,
    pod: &Pod,
) -> Result<(), kube::Error> {
    let api: Api<PersistentVolumeClaim> = cluster.api(&set.namespace().unwrap_or_default());
    for template in templates(set) {
        let name = claim_name(template, &pod.name_any());
        if api.get_opt(&name).await?.is_none() {
            api.create(&writing(), &new_claim(set, template, name)).await?;
        }
    }
    Ok(())
}

fn new_claim(set: &StatefulSet, template: &PersistentVolumeClaim, name: String) -> PersistentVolumeClaim {
    let mut claim = template.clone();
    let labels = set
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.match_labels.clone());
    claim.labels_mut().extend(labels.unwrap_or_default());
    claim.metadata.name = Some(name);
    claim.metadata.namespace = set.namespace();
    claim.status = None;
    if policy(set).when_deleted.as_deref() == Some("Delete") {
        claim.metadata.owner_references = Some(vec![reference(set)]);
    }
    claim
}

/// Has the claims of a pod that is scaled away go with it, when the set says so.
pub(super) async fn condemn(cluster: &Cluster, set: &StatefulSet, pod: &Pod) -> Result<(), kube::Error> {
    if policy(set).when_scaled.as_deref() != Some("Delete") {
        return Ok(());
    }
    let api: Api<PersistentVolumeClaim> = cluster.api(&set.namespace().unwrap_or_default());
    for template in templates(set) {
        if let Some(claim) = api.get_opt(&claim_name(template, &pod.name_any())).await? {
            let mut owners = claim.owner_references().to_vec();
            // the set would keep it
            owners.retain(|owner| Some(&owner.uid) != set.meta().uid.as_ref());
            if owners
                .iter()
                .all(|owner| Some(&owner.uid) != pod.meta().uid.as_ref())
            {
                owners.push(reference(pod));
                let patch =
                    Patch::Merge(json!({"metadata": {"uid": claim.uid(), "ownerReferences": owners}}));
                api.patch(&claim.name_any(), &patching(), &patch).await?;
            }
        }
    }
    Ok(())
}

/// An owner that does not control.
fn reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: None,
        block_owner_deletion: None,
    }
}
