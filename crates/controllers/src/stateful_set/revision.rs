//! The revisions of a StatefulSet's template, kept as ControllerRevisions.

use k8s_openapi::{
    api::{
        apps::v1::{ControllerRevision, StatefulSet},
        core::v1::{Pod, PodTemplateSpec},
    },
    apimachinery::pkg::runtime::RawExtension,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ObjectMeta},
    core::Selector,
};
use serde_json::{Value, json};

use super::identity;
use crate::{
    cluster::{Cluster, writing},
    error::{ReconcileError, gone_is_fine, has_code},
    hash::short_name,
    owner::{self, controller_reference},
    pod::{REVISION_LABEL, label},
};

/// The revisions by name: the one that pods had, and the one that they are to have.
pub(super) struct Revisions {
    all: Vec<ControllerRevision>,
    pub(super) current: String,
    pub(super) update: String,
    pub(super) collisions: i32,
}

impl Revisions {
    /// Finds or makes the revision of the present template.
    pub(super) async fn sync(
        cluster: &Cluster,
        set: &StatefulSet,
        selector: &Selector,
    ) -> Result<Self, ReconcileError> {
        let mut all: Vec<ControllerRevision> = owner::claim(cluster, set, selector).await?;
        all.sort_by_key(|revision| {
            (
                revision.revision,
                revision.creation_timestamp(),
                revision.name_any(),
            )
        });
        let status = set.status.clone().unwrap_or_default();
        let data = data(set)?;
        let newest = all.last().map_or(0, |revision| revision.revision);
        let is_same =
            |revision: &ControllerRevision| revision.data.as_ref().map(|data| &data.0) == Some(&data);
        let api: Api<ControllerRevision> = cluster.api(&set.namespace().unwrap_or_default());
        let mut collisions = status.collision_count.unwrap_or(0);
        let update = match all.iter().rposition(is_same) {
            Some(at) if all[at].revision == newest => all[at].name_any(),
            Some(at) => {
                // rolled back to: it becomes the newest
                let mut revision = all.remove(at);
                revision.revision = newest + 1;
                let revision = api.replace(&revision.name_any(), &writing(), &revision).await?;
                all.push(revision);
                all[all.len() - 1].name_any()
            }
            None => {
                let made = make(&api, set, &data, newest + 1, &mut collisions).await?;
                all.push(made);
                all[all.len() - 1].name_any()
            }
        };
        let known = |name: &String| all.iter().any(|revision| revision.name_any() == *name);
        let current = status
            .current_revision
            .filter(known)
            .unwrap_or_else(|| update.clone());
        Ok(Self {
            all,
            current,
            update,
            collisions,
        })
    }

    /// The template of the revision of this name.
    pub(super) fn template(&self, name: &str) -> Result<PodTemplateSpec, ReconcileError> {
        let revision = self.all.iter().find(|revision| revision.name_any() == name);
        let data = revision.and_then(|revision| revision.data.as_ref());
        let template = data.map_or(Value::Null, |data| data.0["spec"]["template"].clone());
        Ok(serde_json::from_value(template)?)
    }

    /// Deletes the oldest revisions that no pod is of, beyond those that are kept to roll back to.
    pub(super) async fn truncate(
        &self,
        cluster: &Cluster,
        set: &StatefulSet,
        pods: &[Pod],
    ) -> Result<(), ReconcileError> {
        let limit = set
            .spec
            .as_ref()
            .and_then(|spec| spec.revision_history_limit)
            .unwrap_or(10);
        let in_use = |name: &str| {
            name == self.current
                || name == self.update
                || pods.iter().any(|pod| identity::revision(pod) == Some(name))
        };
        let unused: Vec<_> = self
            .all
            .iter()
            .map(ControllerRevision::name_any)
            .filter(|name| !in_use(name))
            .collect();
        let surplus = unused
            .len()
            .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        let api: Api<ControllerRevision> = cluster.api(&set.namespace().unwrap_or_default());
        for name in unused.iter().take(surplus) {
            gone_is_fine(api.delete(name, &DeleteParams::default()).await)?;
        }
        Ok(())
    }
}

async fn make(
    api: &Api<ControllerRevision>,
    set: &StatefulSet,
    data: &Value,
    number: i64,
    collisions: &mut i32,
) -> Result<ControllerRevision, ReconcileError> {
    loop {
        let hash = short_name(data, *collisions)?;
        let labels = set
            .spec
            .as_ref()
            .and_then(|spec| spec.template.metadata.as_ref()?.labels.clone());
        let mut metadata = ObjectMeta {
            name: Some(format!("{}-{hash}", set.name_any())),
            namespace: set.namespace(),
            labels,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        };
        label(&mut metadata, REVISION_LABEL, &hash);
        let revision = ControllerRevision {
            metadata,
            data: Some(RawExtension(data.clone())),
            revision: number,
        };
        match api.create(&writing(), &revision).await {
            // another template has the name
            Err(error) if has_code(&error, 409) => *collisions += 1,
            made => return Ok(made?),
        }
    }
}

/// What a revision keeps: a patch that puts the template back.
fn data(set: &StatefulSet) -> Result<Value, ReconcileError> {
    let template = set
        .spec
        .as_ref()
        .map(|spec| spec.template.clone())
        .unwrap_or_default();
    let mut template = serde_json::to_value(template)?;
    template["$patch"] = "replace".into();
    Ok(json!({"spec": {"template": template}}))
}
