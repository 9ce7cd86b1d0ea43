//! Claims and volumes: binds each claim to a volume that suits it, or to one made for it, and deals
//! with the volumes of claims that are gone.
//!
//! Source of the rules: "Persistent Volumes" of the Kubernetes documentation.

use k8s_openapi::{
    api::{
        core::v1::{
            CSIPersistentVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim,
            PersistentVolumeSpec, PersistentVolumeStatus,
        },
        storage::v1::StorageClass,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, Patch},
    core::SelectorExt as _,
};
use serde_json::json;

use crate::{
    cluster::{Cluster, News, patching, writing},
    error::{ReconcileError, gone_is_fine, has_code},
    informer::{Informer, Key},
    owner::{self, is_deleting},
    quantity::milli,
    queue::{Next, Queue, Reconciler},
};

const CONTROLLER: &str = "persistentvolume-controller";

/// The provisioner whose volumes are directories of the node, which makes them on first use.
const PROVISIONER: &str = "prefect-e2e.dev/directory";

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Claim(Key),
    Volume(String),
}

pub(crate) struct VolumeBinder {
    pub(crate) cluster: Cluster,
}

impl VolumeBinder {
    /// Looks at claims and volumes at their changes, and at claims without a volume when there may be
    /// one now.
    pub(crate) fn listen(
        claims: &Informer<PersistentVolumeClaim>,
        volumes: &Informer<PersistentVolume>,
        classes: &Informer<StorageClass>,
        queue: &Queue<Subject>,
    ) {
        let on_claim = queue.clone();
        claims.listen(move |change| {
            if let Some(claim) = change.states().last() {
                on_claim.add(Subject::Claim(Key::of(claim)));
                let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
                volume
                    .into_iter()
                    .for_each(|name| on_claim.add(Subject::Volume(name)));
            }
        });
        let (waiting, on_volume) = (claims.clone(), queue.clone());
        volumes.listen(move |change| {
            change
                .states()
                .last()
                .into_iter()
                .for_each(|volume| on_volume.add(Subject::Volume(volume.name_any())));
            add_unbound(&waiting, &on_volume);
        });
        let (waiting, on_class) = (claims.clone(), queue.clone());
        classes.listen(move |_| add_unbound(&waiting, &on_class));
    }
}

fn add_unbound(claims: &Informer<PersistentVolumeClaim>, queue: &Queue<Subject>) {
    for claim in claims.all() {
        if !is_bound(&claim) {
            queue.add(Subject::Claim(Key::of(&*claim)));
        }
    }
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

impl Reconciler for VolumeBinder {
    type Key = Subject;
    const NAME: &'static str = CONTROLLER;

    async fn reconcile(&self, subject: &Subject) -> Result<Next, ReconcileError> {
        match subject {
            Subject::Claim(key) => {
                let api = self.cluster.api::<PersistentVolumeClaim>(&key.namespace);
                let claim = api.get_opt(&key.name).await?;
                if let Some(claim) = claim.filter(|claim| !is_bound(claim) && !is_deleting(claim)) {
                    self.bind_claim(claim).await?;
                }
            }
            Subject::Volume(name) => {
                if let Some(volume) = self.cluster.all::<PersistentVolume>().get_opt(name).await? {
                    self.keep_volume(volume).await?;
                }
            }
        }
        Ok(None)
    }
}

impl VolumeBinder {
    async fn bind_claim(&self, claim: PersistentVolumeClaim) -> Result<(), ReconcileError> {
        let spec = claim.spec.clone().unwrap_or_default();
        if let Some(name) = spec.volume_name.filter(|name| !name.is_empty()) {
            return self.bind_to_named(&claim, &name).await;
        }
        if let Some(volume) = self.find(&claim).await? {
            return self.bind(&claim, volume).await;
        }
        match spec.storage_class_name.as_deref() {
            None => self.give_default_class(&claim).await,
            Some("") => {
                let message = "no persistent volumes available for this claim and no storage class is set";
                self.tell(&claim, false, "FailedBinding", message.to_owned())
                    .await;
                Ok(())
            }
            Some(class) => self.provision(&claim, class).await,
        }
    }

    /// Binds to the volume that the claim asks for by name, once it is there and free.
    async fn bind_to_named(&self, claim: &PersistentVolumeClaim, name: &str) -> Result<(), ReconcileError> {
        let volume = self.cluster.all::<PersistentVolume>().get_opt(name).await?;
        match volume {
            Some(volume) if may_take(&volume, claim) => self.bind(claim, volume).await,
            _ => Ok(()),
        }
    }

    /// The smallest free volume that suits the claim; one that is reserved for it before all others.
    async fn find(&self, claim: &PersistentVolumeClaim) -> Result<Option<PersistentVolume>, ReconcileError> {
        let spec = claim.spec.clone().unwrap_or_default();
        let selector = owner::selector(spec.selector.as_ref())?;
        let volumes = self
            .cluster
            .all::<PersistentVolume>()
            .list(&ListParams::default())
            .await?;
        let suits = |volume: &PersistentVolume| {
            let offered = volume.spec.clone().unwrap_or_default();
            let modes = spec.access_modes.iter().flatten();
            may_take(volume, claim)
                && !is_deleting(volume)
                && offered.storage_class_name.unwrap_or_default()
                    == spec.storage_class_name.clone().unwrap_or_default()
                && modes
                    .into_iter()
                    .all(|mode| offered.access_modes.iter().flatten().any(|one| one == mode))
                && size(volume) >= requested(claim).as_ref().map_or(0, milli)
                && selector
                    .as_ref()
                    .is_none_or(|selector| selector.matches(volume.labels()))
        };
        let reserved =
            |volume: &PersistentVolume| volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some());
        let suitable = volumes.items.into_iter().filter(suits);
        Ok(suitable.min_by_key(|volume| (!reserved(volume), size(volume), volume.name_any())))
    }

    async fn give_default_class(&self, claim: &PersistentVolumeClaim) -> Result<(), ReconcileError> {
        let classes = self
            .cluster
            .all::<StorageClass>()
            .list(&ListParams::default())
            .await?;
        let is_default = |class: &&StorageClass| {
            class
                .annotations()
                .get(DEFAULT_CLASS)
                .is_some_and(|is| is == "true")
        };
        // the newest of several, as upstream
        let class = classes
            .iter()
            .filter(is_default)
            .max_by_key(|class| class.creation_timestamp());
        let Some(class) = class else {
            let message = "no persistent volumes available for this claim and no storage class is set";
            self.tell(claim, false, "FailedBinding", message.to_owned()).await;
            return Ok(());
        };
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": claim.resource_version()},
            "spec": {"storageClassName": class.name_any()},
        }));
        let api = self
            .cluster
            .api::<PersistentVolumeClaim>(&claim.namespace().unwrap_or_default());
        // the change brings the claim here again
        gone_is_fine(api.patch(&claim.name_any(), &patching(), &patch).await)?;
        Ok(())
    }

    async fn provision(&self, claim: &PersistentVolumeClaim, class: &str) -> Result<(), ReconcileError> {
        let Some(class) = self.cluster.all::<StorageClass>().get_opt(class).await? else {
            let message = format!("storageclass.storage.k8s.io {class:?} not found");
            self.tell(claim, true, "ProvisioningFailed", message).await;
            return Ok(());
        };
        if class.provisioner != PROVISIONER {
            let message = format!(
                "Waiting for a volume to be created either by the external provisioner '{}' or manually by the \
                 system administrator. If volume creation is delayed, please verify that the provisioner is \
                 running and correctly registered.",
                class.provisioner
            );
            self.tell(claim, false, "ExternalProvisioning", message).await;
            return Ok(());
        }
        let volume = new_volume(claim, &class);
        let name = volume.name_any();
        match self
            .cluster
            .all::<PersistentVolume>()
            .create(&writing(), &volume)
            .await
        {
            Ok(volume) => {
                let message = format!("Successfully provisioned volume {name}");
                self.tell(claim, false, "ProvisioningSucceeded", message).await;
                self.bind(claim, volume).await
            }
            Err(error) if has_code(&error, 409) => self.bind_to_named(claim, &name).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Binds both ways: the volume names the claim first, so that no other claim takes it.
    async fn bind(
        &self,
        claim: &PersistentVolumeClaim,
        volume: PersistentVolume,
    ) -> Result<(), ReconcileError> {
        let volumes = self.cluster.all::<PersistentVolume>();
        let name = volume.name_any();
        let mut volume = volume;
        let spec = volume.spec.get_or_insert_default();
        if spec
            .claim_ref
            .as_ref()
            .is_none_or(|known| known.uid != claim.uid())
        {
            spec.claim_ref = Some(reference(claim));
            volume
                .annotations_mut()
                .insert("pv.kubernetes.io/bound-by-controller".into(), "yes".into());
            volume = volumes.replace(&name, &writing(), &volume).await?;
        }
        self.set_phase(&volume, "Bound").await?;
        let claims = self
            .cluster
            .api::<PersistentVolumeClaim>(&claim.namespace().unwrap_or_default());
        let mut claim = claim.clone();
        let annotations = claim.annotations_mut();
        annotations.insert("pv.kubernetes.io/bind-completed".into(), "yes".into());
        annotations.insert("pv.kubernetes.io/bound-by-controller".into(), "yes".into());
        claim.spec.get_or_insert_default().volume_name = Some(name);
        let mut claim = claims.replace(&claim.name_any(), &writing(), &claim).await?;
        let offered = volume.spec.unwrap_or_default();
        let status = claim.status.get_or_insert_default();
        status.phase = Some("Bound".to_owned());
        status.access_modes = offered.access_modes;
        status.capacity = offered.capacity;
        claims
            .replace_status(&claim.name_any(), &writing(), &claim)
            .await?;
        Ok(())
    }

    /// Gives a volume its phase; when its claim is gone, does with it what its policy says.
    async fn keep_volume(&self, volume: PersistentVolume) -> Result<(), ReconcileError> {
        let spec = volume.spec.clone().unwrap_or_default();
        let Some(reference) = spec.claim_ref else {
            return self.set_phase(&volume, "Available").await;
        };
        let Some(uid) = &reference.uid else {
            return self.set_phase(&volume, "Available").await;
        };
        let api = self
            .cluster
            .api::<PersistentVolumeClaim>(&reference.namespace.unwrap_or_default());
        let claim = api.get_opt(&reference.name.unwrap_or_default()).await?;
        if claim.is_some_and(|claim| claim.uid().as_ref() == Some(uid)) {
            return Ok(());
        }
        self.set_phase(&volume, "Released").await?;
        if spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete") && !is_deleting(&volume) {
            let api = self.cluster.all::<PersistentVolume>();
            gone_is_fine(api.delete(&volume.name_any(), &DeleteParams::default()).await)?;
        }
        Ok(())
    }

    async fn set_phase(&self, volume: &PersistentVolume, phase: &str) -> Result<(), ReconcileError> {
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let status = PersistentVolumeStatus {
            phase: Some(phase.to_owned()),
            last_phase_transition_time: Some(self.cluster.clock.now()),
            ..PersistentVolumeStatus::default()
        };
        let patch = Patch::Merge(json!({"metadata": {"uid": volume.uid()}, "status": status}));
        let api = self.cluster.all::<PersistentVolume>();
        gone_is_fine(api.patch_status(&volume.name_any(), &patching(), &patch).await)?;
        Ok(())
    }

    async fn tell(&self, claim: &PersistentVolumeClaim, warning: bool, reason: &str, message: String) {
        let news = News {
            from: CONTROLLER,
            warning,
            reason,
            message,
        };
        self.cluster.tell(claim, news).await;
    }
}

/// Whether the volume is free, or reserved for the claim.
fn may_take(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_none_or(|reference| {
        reference.name == claim.metadata.name
            && reference.namespace == claim.metadata.namespace
            && (reference.uid.is_none() || reference.uid == claim.metadata.uid)
    })
}

fn size(volume: &PersistentVolume) -> i128 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    capacity
        .and_then(|capacity| capacity.get("storage"))
        .map_or(0, milli)
}

fn requested(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    claim
        .spec
        .as_ref()?
        .resources
        .as_ref()?
        .requests
        .as_ref()?
        .get("storage")
        .cloned()
}

fn reference(claim: &PersistentVolumeClaim) -> ObjectReference {
    claim.object_ref(&())
}

fn new_volume(claim: &PersistentVolumeClaim, class: &StorageClass) -> PersistentVolume {
    let name = format!("pvc-{}", claim.uid().unwrap_or_default());
    let spec = claim.spec.clone().unwrap_or_default();
    let provisioned_by = (
        "pv.kubernetes.io/provisioned-by".to_owned(),
        PROVISIONER.to_owned(),
    );
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            annotations: Some([provisioned_by].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: requested(claim).map(|quantity| [("storage".to_owned(), quantity)].into()),
            claim_ref: Some(reference(claim)),
            csi: Some(CSIPersistentVolumeSource {
                driver: PROVISIONER.to_owned(),
                volume_handle: name,
                ..CSIPersistentVolumeSource::default()
            }),
            persistent_volume_reclaim_policy: class.reclaim_policy.clone(),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: spec.volume_mode,
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests;
