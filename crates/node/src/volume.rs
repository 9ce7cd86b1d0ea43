//! The volumes of a pod: directories on the node's temporary filesystem, filled as the pod says.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Component, Path, PathBuf},
};

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, PersistentVolumeClaim, Pod, Secret, Volume,
    VolumeMount,
};
use kube::{Api, Client};
use prefect_e2e_sandbox::Mount;

use crate::environment::{EnvironmentError, Sources, expand};

/// Files of volumes are readable by all unless the pod says otherwise.
const DEFAULT_MODE: i32 = 0o644;

/// Why a volume is not there yet, or never will be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    #[error("{kind} {name:?} not found")]
    Missing { kind: &'static str, name: String },
    #[error("{kind} references non-existent key: {key}")]
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

/// Makes the volumes of one pod.
pub(crate) struct Volumes<'a> {
    pub(crate) sources: &'a Sources<'a>,
    /// Of the pod, gone with it.
    pub(crate) pod_dir: PathBuf,
    /// Of the cluster: what claims keep.
    pub(crate) claims_dir: PathBuf,
}

/// The files of a volume: content and mode by path.
type Files = BTreeMap<String, (Vec<u8>, i32)>;

impl Volumes<'_> {
    /// Makes all volumes; gives their directories by name.
    pub(crate) async fn make(&self) -> Result<BTreeMap<String, PathBuf>, (String, VolumeError)> {
        let mut directories = BTreeMap::new();
        for volume in self.sources.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let directory = self.make_one(volume).await.map_err(|error| (volume.name.clone(), error))?;
            directories.insert(volume.name.clone(), directory);
        }
        Ok(directories)
    }

    async fn make_one(&self, volume: &Volume) -> Result<PathBuf, VolumeError> {
        let own = self.pod_dir.join("volumes").join(&volume.name);
        if volume.empty_dir.is_some() {
            self.shared_directory(&own)?;
            return Ok(own);
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            let directory = self.claims_dir.join(self.volume_of_claim(&claim.claim_name).await?);
            self.shared_directory(&directory)?;
            return Ok(directory);
        }
        let files = self.files(volume).await?;
        self.write(&own, &files)?;
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
        let group = self.sources.pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
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
        Api::namespaced(Client::clone(self.sources.client), namespace)
    }

    fn required<T>(
        &self,
        found: Result<Option<T>, kube::Error>,
        kind: &'static str,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<T>, VolumeError> {
        let found = found.map_err(|source| VolumeError::Api { kind, name: name.to_owned(), source })?;
        if found.is_none() && optional != Some(true) {
            return Err(VolumeError::Missing { kind, name: name.to_owned() });
        }
        Ok(found)
    }

    async fn files(&self, volume: &Volume) -> Result<Files, VolumeError> {
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            return self.secret(name, source.items.as_deref(), source.default_mode, source.optional).await;
        }
        if let Some(source) = &volume.config_map {
            let items = source.items.as_deref();
            return self.config_map(&source.name, items, source.default_mode, source.optional).await;
        }
        if let Some(source) = &volume.downward_api {
            return self.downward(source.items.as_deref(), source.default_mode);
        }
        if let Some(projected) = &volume.projected {
            return self.projected(projected).await;
        }
        Err(VolumeError::Unsupported(kind_of(volume)))
    }

    async fn projected(
        &self,
        projected: &k8s_openapi::api::core::v1::ProjectedVolumeSource,
    ) -> Result<Files, VolumeError> {
        let mode = projected.default_mode;
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            if let Some(source) = &source.secret {
                files.extend(self.secret(&source.name, source.items.as_deref(), mode, source.optional).await?);
            }
            if let Some(source) = &source.config_map {
                let items = source.items.as_deref();
                files.extend(self.config_map(&source.name, items, mode, source.optional).await?);
            }
            if let Some(source) = &source.downward_api {
                files.extend(self.downward(source.items.as_deref(), mode)?);
            }
            if source.service_account_token.is_some() {
                return Err(VolumeError::Unsupported("projected serviceAccountToken".into()));
            }
        }
        Ok(files)
    }

    async fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: Option<bool>,
    ) -> Result<Files, VolumeError> {
        let api: Api<Secret> = self.api();
        let found = self.required(api.get_opt(name).await, "secret", name, optional)?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        let data = data.into_iter().map(|(key, value)| (key, value.0)).collect();
        select("secret", data, items, mode, optional)
    }

    async fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: Option<bool>,
    ) -> Result<Files, VolumeError> {
        let api: Api<ConfigMap> = self.api();
        let found = self.required(api.get_opt(name).await, "configmap", name, optional)?.unwrap_or_default();
        let plain = found.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
        let binary = found.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
        select("configmap", plain.chain(binary).collect(), items, mode, optional)
    }

    fn downward(
        &self,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: Option<i32>,
    ) -> Result<Files, VolumeError> {
        let mut files = Files::new();
        for item in items.into_iter().flatten() {
            let value = match &item.field_ref {
                Some(selector) => self.sources.field(selector)?,
                None => return Err(VolumeError::Unsupported("downwardAPI resourceFieldRef".into())),
            };
            let mode = item.mode.or(mode).unwrap_or(DEFAULT_MODE);
            files.insert(item.path.clone(), (value.into_bytes(), mode));
        }
        Ok(files)
    }

    fn write(&self, directory: &Path, files: &Files) -> Result<(), VolumeError> {
        fs::create_dir_all(directory)?;
        let group = self.fs_group();
        for (path, (content, mode)) in files {
            let place = inside(directory, path)?;
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&place, content)?;
            let mut mode = u32::try_from(*mode).unwrap_or(0o644);
            if let Some(group) = group
                && chown(&place, None, Some(group)).is_ok()
            {
                // the pod's group may read what its owner may
                mode |= (mode & 0o400) >> 3;
            }
            fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }
}

/// The name of a volume's type, as its field is called.
fn kind_of(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).unwrap_or_default();
    let mut fields = value.as_object().into_iter().flatten().map(|(key, _)| key.clone());
    fields.find(|key| key != "name").unwrap_or_else(|| "none".into())
}

fn select(
    kind: &'static str,
    data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    optional: Option<bool>,
) -> Result<Files, VolumeError> {
    let default = mode.unwrap_or(DEFAULT_MODE);
    let Some(items) = items else {
        return Ok(data.into_iter().map(|(key, content)| (key, (content, default))).collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(content) => {
                let mode = item.mode.unwrap_or(default);
                files.insert(item.path.clone(), (content.clone(), mode));
            }
            None if optional == Some(true) => {}
            None => return Err(VolumeError::NoKey { kind, key: item.key.clone() }),
        }
    }
    Ok(files)
}

/// `path` below `directory`.
///
/// # Errors
/// When it would lead out of it.
fn inside(directory: &Path, path: &str) -> Result<PathBuf, VolumeError> {
    let relative = Path::new(path);
    if relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(directory.join(relative));
    }
    Err(VolumeError::Escape(path.to_owned()))
}

/// The mounts of `container`, its parts of volumes made.
pub(crate) fn mounts(
    pod: &Pod,
    container: &Container,
    env: &[(String, String)],
    directories: &BTreeMap<String, PathBuf>,
) -> Result<Vec<Mount>, VolumeError> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let directory = directories
            .get(&mount.name)
            .ok_or_else(|| VolumeError::Missing { kind: "volume", name: mount.name.clone() })?;
        let source = part_of(directory, mount, env)?;
        let writable = mount.read_only != Some(true) && is_writable(pod, &mount.name);
        mounts.push(Mount { source, target: PathBuf::from(&mount.mount_path), writable });
    }
    Ok(mounts)
}

fn part_of(directory: &Path, mount: &VolumeMount, env: &[(String, String)]) -> Result<PathBuf, VolumeError> {
    let expanded = mount.sub_path_expr.as_deref().map(|text| expand(text, env));
    let Some(sub_path) = expanded.or_else(|| mount.sub_path.clone()).filter(|path| !path.is_empty()) else {
        return Ok(directory.to_owned());
    };
    let part = inside(directory, &sub_path)?;
    if !part.exists() {
        fs::create_dir_all(&part)?;
        fs::set_permissions(&part, fs::metadata(directory)?.permissions())?;
    }
    Ok(part)
}

/// What is filled by the node is not for pods to write.
fn is_writable(pod: &Pod, name: &str) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let volume = volumes.into_iter().find(|volume| volume.name == name);
    volume.is_some_and(|volume| {
        volume.empty_dir.is_some()
            || volume.persistent_volume_claim.as_ref().is_some_and(|claim| claim.read_only != Some(true))
    })
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

    #[test]
    fn items_choose_keys_and_name_files() {
        let data = BTreeMap::from([("k".to_owned(), b"v".to_vec()), ("other".to_owned(), Vec::new())]);
        let item = |key: &str| KeyToPath { key: key.into(), path: "p".into(), mode: Some(0o400) };
        let files = select("secret", data.clone(), Some(&[item("k")]), None, None).unwrap();
        assert_eq!(files, BTreeMap::from([("p".to_owned(), (b"v".to_vec(), 0o400))]));
        let error = select("secret", data.clone(), Some(&[item("none")]), None, None).unwrap_err();
        assert_eq!(error.to_string(), "secret references non-existent key: none");
        assert!(select("secret", data, Some(&[item("none")]), None, Some(true)).unwrap().is_empty());
    }

    #[test]
    fn the_type_of_a_volume_is_named() {
        let volume: Volume =
            serde_json::from_value(serde_json::json!({"name": "v", "hostPath": {"path": "/"}})).unwrap();
        assert_eq!(kind_of(&volume), "hostPath");
    }
}
