//! The ReplicaSet of the deployment's present template: found or made.

use k8s_openapi::api::{
    apps::v1::{ReplicaSet, ReplicaSetSpec},
    core::v1::PodTemplateSpec,
};
use kube::{Resource as _, ResourceExt as _, api::ObjectMeta};

use super::{
    Rollout, annotation, scaling,
    status::{Progress, set_progress},
};
use crate::{
    cluster::writing,
    error::{ReconcileError, has_code, message},
    hash::short_name,
    owner::{controller_reference, is_controlled_by},
    pod::label,
};

const HASH_LABEL: &str = "pod-template-hash";

impl Rollout<'_> {
    /// The new ReplicaSet with the newest revision; made when `make` says so and there is none.
    pub(super) async fn sync_revision(&mut self, make: bool) -> Result<Option<ReplicaSet>, ReconcileError> {
        let found = self.find_new();
        let uid = found.as_ref().and_then(|set| set.uid());
        let others = self.sets.iter().filter(|set| uid.is_none() || set.uid() != uid);
        let revision = others.map(annotation::revision_of_set).max().unwrap_or(0) + 1;
        match found {
            Some(set) => self.renew(set, revision).await.map(Some),
            None if make => self.make(revision).await.map(Some),
            None => Ok(None),
        }
    }

    /// The oldest ReplicaSet of the present template.
    fn find_new(&self) -> Option<ReplicaSet> {
        let wanted = self.spec().template;
        let mut equal: Vec<&ReplicaSet> = self
            .sets
            .iter()
            .filter(|set| without_hash(template(set)) == without_hash(wanted.clone()))
            .collect();
        equal.sort_by_key(|set| (set.creation_timestamp(), set.name_any()));
        equal.first().map(|set| (*set).clone())
    }

    /// Brings annotations of the ReplicaSet and the deployment up to date.
    async fn renew(&mut self, set: ReplicaSet, revision: i64) -> Result<ReplicaSet, ReconcileError> {
        let mut after = set;
        let mut changed = annotation::mark_revision(&mut after, &self.deployment, revision);
        let min_ready = self.spec().min_ready_seconds;
        let spec = after.spec.get_or_insert_default();
        if spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0) {
            spec.min_ready_seconds = min_ready;
            changed = true;
        }
        if changed {
            after = self.api().replace(&after.name_any(), &writing(), &after).await?;
            self.remember(&after);
        }
        self.follow_revision(&after).await?;
        let progress = Progress::new("True", "FoundNewReplicaSet");
        let found = format!("Found new replica set {:?}", after.name_any());
        self.note_first_progress(progress, found).await?;
        Ok(after)
    }

    async fn follow_revision(&mut self, set: &ReplicaSet) -> Result<(), ReconcileError> {
        let mut after = self.deployment.clone();
        if annotation::copy_revision(&mut after, set) {
            self.deployment = self.api().replace(&after.name_any(), &writing(), &after).await?;
        }
        Ok(())
    }

    /// Says how the rollout goes when nothing is said yet.
    async fn note_first_progress(&mut self, progress: Progress, text: String) -> Result<(), ReconcileError> {
        let status = self.deployment.status.clone().unwrap_or_default();
        let known = status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == "Progressing");
        if known
            || self
                .spec()
                .progress_deadline_seconds
                .is_none_or(|seconds| seconds == i32::MAX)
        {
            return Ok(());
        }
        self.write_progress(progress, text).await
    }

    pub(super) async fn write_progress(
        &mut self,
        progress: Progress,
        text: String,
    ) -> Result<(), ReconcileError> {
        let mut after = self.deployment.clone();
        let status = after.status.get_or_insert_default();
        set_progress(status, progress, text, &self.cluster.clock);
        self.deployment = self
            .api()
            .replace_status(&after.name_any(), &writing(), &after)
            .await?;
        Ok(())
    }

    async fn make(&mut self, revision: i64) -> Result<ReplicaSet, ReconcileError> {
        let collisions = self
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.collision_count);
        let hash = short_name(&self.spec().template, collisions.unwrap_or(0))?;
        let mut set = self.new_set(&hash);
        annotation::mark_revision(&mut set, &self.deployment, revision);
        annotation::mark_replicas(&mut set, &self.spec());
        let mut all = self.sets.clone();
        all.push(set.clone());
        let replicas = scaling::new_replicas(&self.spec(), &all, &set);
        set.spec.get_or_insert_default().replicas = Some(replicas);
        let made = match self.api().create(&writing(), &set).await {
            Ok(made) => made,
            Err(error) if has_code(&error, 409) => return self.met_other(&set, collisions, error).await,
            Err(error) => {
                let text = format!(
                    "Failed to create new replica set {:?}: {}",
                    set.name_any(),
                    message(&error)
                );
                self.write_progress(Progress::new("False", "FailedCreate"), text.clone())
                    .await?;
                self.tell(true, "ReplicaSetCreateError", text).await;
                return Err(error.into());
            }
        };
        self.sets.push(made.clone());
        if replicas > 0 {
            self.tell_scaling(&made, 0, replicas).await;
        }
        self.follow_revision(&made).await?;
        if self
            .spec()
            .progress_deadline_seconds
            .is_some_and(|seconds| seconds != i32::MAX)
        {
            let text = format!("Created new replica set {:?}", made.name_any());
            self.write_progress(Progress::new("True", "NewReplicaSetCreated"), text)
                .await?;
        }
        Ok(made)
    }

    /// The name is taken: by the set that was wanted, or by that of another template.
    async fn met_other(
        &mut self,
        set: &ReplicaSet,
        collisions: Option<i32>,
        error: kube::Error,
    ) -> Result<ReplicaSet, ReconcileError> {
        let other: ReplicaSet = self.api().get(&set.name_any()).await?;
        let is_ours = is_controlled_by(&other.metadata, &self.deployment.metadata);
        if is_ours && without_hash(template(&other)) == without_hash(template(set)) {
            return Ok(other);
        }
        let mut after = self.deployment.clone();
        after.status.get_or_insert_default().collision_count = Some(collisions.unwrap_or(0) + 1);
        self.api()
            .replace_status(&after.name_any(), &writing(), &after)
            .await?;
        // the next try makes another name
        Err(error.into())
    }

    fn new_set(&self, hash: &str) -> ReplicaSet {
        let spec = self.spec();
        let mut template = spec.template;
        let mut selector = spec.selector;
        label(template.metadata.get_or_insert_default(), HASH_LABEL, hash);
        selector
            .match_labels
            .get_or_insert_default()
            .insert(HASH_LABEL.to_owned(), hash.to_owned());
        ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", self.deployment.name_any())),
                namespace: self.deployment.namespace(),
                labels: template.metadata.as_ref().and_then(|meta| meta.labels.clone()),
                owner_references: Some(vec![controller_reference(&self.deployment)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(0),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            status: None,
        }
    }

    fn remember(&mut self, set: &ReplicaSet) {
        if let Some(known) = self
            .sets
            .iter_mut()
            .find(|known| known.meta().uid == set.meta().uid)
        {
            known.clone_from(set);
        }
    }
}

fn template(set: &ReplicaSet) -> PodTemplateSpec {
    set.spec
        .as_ref()
        .and_then(|spec| spec.template.clone())
        .unwrap_or_default()
}

fn without_hash(mut template: PodTemplateSpec) -> PodTemplateSpec {
    if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(HASH_LABEL);
    }
    template
}
