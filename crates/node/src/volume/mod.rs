//! The volumes of a pod: directories on the node's temporary filesystem, filled as the pod says.

mod files;
mod mounts;
mod writer;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Volume};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::sync::watch;

pub(crate) use mounts::mounts;

use crate::environment::{EnvironmentError, Sources};

/// Why a volume is not there yet, or never will be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    #[error("{kind} {name:?} not found")]
    Missing { kind: &'static str, name: String },
    #[error("references non-existent {kind} key: {key}")]
    NoKey { kind: &'static str, key: String },
    #[error("persistentvolumeclaim {0:?} is not bound yet")]
    Unbound(String),
    #[error(
        "volumes of type {0} are not served by the embedded node; use a real cluster (--target kubeconfig)"
    )]
    Unsupported(String),
    #[error("the path {0:?} leads out of its volume")]
    Escape(String),
    #[error("cannot read {kind} {name:?}")]
    Api {
        kind: &'static str,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    Field(#[from] EnvironmentError),
    #[error("cannot write the volume")]
    Io(#[from] io::Error),
}

/// Follows ConfigMaps and Secrets; what is returned changes when one of them does.
pub(crate) fn watch_sources(client: Client) -> watch::Receiver<()> {
    let (changed, receiver) = watch::channel(());
    let config_maps =
        watcher(Api::<ConfigMap>::all(client.clone()), watcher::Config::default()).default_backoff();
    let secrets = watcher(Api::<Secret>::all(client), watcher::Config::default()).default_backoff();
    let mut changes = Box::pin(futures::stream::select(
        config_maps.map(|event| event.is_ok()),
        secrets.map(|event| event.is_ok()),
    ));
    tokio::spawn(async move {
        while changes.next().await.is_some() {
            changed.send_replace(());
        }
    });
    receiver
}

/// Whether `pod` has volumes whose files may change while it runs.
pub(crate) fn changing(pod: &Pod) -> bool {
    volumes_of(pod).any(is_filled)
}

fn volumes_of(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

/// Whether the node fills the volume.
fn is_filled(volume: &Volume) -> bool {
    volume.secret.is_some()
        || volume.config_map.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// Makes the volumes of one pod.
pub(crate) struct Volumes<'a> {
    pub(crate) sources: &'a Sources,
    /// Of the pod, gone with it.
    pub(crate) pod_dir: PathBuf,
    /// Of the cluster: what claims keep.
    pub(crate) claims_dir: PathBuf,
}

impl Volumes<'_> {
    /// Makes all volumes; gives their directories by name.
    pub(crate) async fn make(&self) -> Result<BTreeMap<String, PathBuf>, (String, VolumeError)> {
        let mut directories = BTreeMap::new();
        for volume in volumes_of(&self.sources.pod) {
            let directory = self
                .make_one(volume)
                .await
                .map_err(|error| (volume.name.clone(), error))?;
            directories.insert(volume.name.clone(), directory);
        }
        Ok(directories)
    }

    /// Writes the files anew that are no longer what they are made of.
    pub(crate) async fn renew(&self) -> Result<(), (String, VolumeError)> {
        for volume in volumes_of(&self.sources.pod).filter(|volume| is_filled(volume)) {
            self.make_one(volume)
                .await
                .map_err(|error| (volume.name.clone(), error))?;
        }
        Ok(())
    }

    async fn make_one(&self, volume: &Volume) -> Result<PathBuf, VolumeError> {
        let own = self.pod_dir.join("volumes").join(&volume.name);
        if volume.empty_dir.is_some() {
            self.shared_directory(&own)?;
            return Ok(own);
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            let directory = self
                .claims_dir
                .join(self.volume_of_claim(&claim.claim_name).await?);
            self.shared_directory(&directory)?;
            return Ok(directory);
        }
        let files = self.files(volume).await?;
        writer::write(&own, &files, self.fs_group())?;
        Ok(own)
    }

    /// A directory that every user of the pod may write.
    fn shared_directory(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        match self.fs_group() {
            // an ordinary user has no other groups to give
            Some(group) if chown(directory, None, Some(group)).is_ok() => {
                fs::set_permissions(directory, fs::Permissions::from_mode(0o2777))
            }
            _ => fs::set_permissions(directory, fs::Permissions::from_mode(0o777)),
        }
    }

    fn fs_group(&self) -> Option<u32> {
        let group = self
            .sources
            .pod
            .spec
            .as_ref()?
            .security_context
            .as_ref()?
            .fs_group?;
        u32::try_from(group).ok()
    }

    async fn volume_of_claim(&self, name: &str) -> Result<String, VolumeError> {
        let api: Api<PersistentVolumeClaim> = self.api();
        let claim = self.required(api.get_opt(name).await, "persistentvolumeclaim", name, None)?;
        let bound = claim.and_then(|claim| claim.spec?.volume_name);
        bound.ok_or_else(|| VolumeError::Unbound(name.to_owned()))
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        let namespace = self.sources.pod.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.sources.client.clone(), namespace)
    }

    fn required<T>(
        &self,
        found: Result<Option<T>, kube::Error>,
        kind: &'static str,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<T>, VolumeError> {
        let found = found.map_err(|source| VolumeError::Api {
            kind,
            name: name.to_owned(),
            source,
        })?;
        if found.is_none() && optional != Some(true) {
            return Err(VolumeError::Missing {
                kind,
                name: name.to_owned(),
            });
        }
        Ok(found)
    }
}

/// `path` below `directory`.
///
/// # Errors
/// When it would lead out of it.
fn inside(directory: &Path, path: &str) -> Result<PathBuf, VolumeError> {
    use std::path::Component;
    let relative = Path::new(path);
    if relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    {
        return Ok(directory.join(relative));
    }
    Err(VolumeError::Escape(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a", true)]
    #[case("a/b", true)]
    #[case("../a", false)]
    #[case("a/../../b", false)]
    #[case("/etc/passwd", false)]
    fn parts_stay_in_their_volume(#[case] path: &str, #[case] stays: bool) {
        assert_eq!(inside(Path::new("/volume"), path).is_ok(), stays);
    }
}
