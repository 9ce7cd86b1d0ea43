//! Where the volumes of a pod show in its containers.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};
use prefect_e2e_sandbox::Mount;

use super::{VolumeError, inside, volumes_of};
use crate::environment::expand;

/// The mounts of `container`, its parts of volumes made.
pub(crate) fn mounts(
    pod: &Pod,
    container: &Container,
    env: &[(String, String)],
    directories: &BTreeMap<String, PathBuf>,
) -> Result<Vec<Mount>, VolumeError> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let directory = directories.get(&mount.name).ok_or_else(|| VolumeError::Missing {
            kind: "volume",
            name: mount.name.clone(),
        })?;
        let source = part_of(directory, mount, env)?;
        let writable = mount.read_only != Some(true) && is_writable(pod, &mount.name);
        mounts.push(Mount {
            source,
            target: PathBuf::from(&mount.mount_path),
            writable,
        });
    }
    Ok(mounts)
}

fn part_of(directory: &Path, mount: &VolumeMount, env: &[(String, String)]) -> Result<PathBuf, VolumeError> {
    let expanded = mount.sub_path_expr.as_deref().map(|text| expand(text, env));
    let Some(sub_path) = expanded
        .or_else(|| mount.sub_path.clone())
        .filter(|path| !path.is_empty())
    else {
        return Ok(directory.to_owned());
    };
    let part = inside(directory, &sub_path)?;
    // a link that a container left must not lead out of the volume
    let stays = |path: &Path| path.starts_with(directory);
    let existing = part
        .ancestors()
        .find(|ancestor| ancestor.symlink_metadata().is_ok())
        .unwrap_or(directory);
    if !fs::canonicalize(existing).is_ok_and(|real| stays(&real)) {
        return Err(VolumeError::Escape(sub_path));
    }
    if !part.exists() {
        fs::create_dir_all(&part)?;
        fs::set_permissions(&part, fs::metadata(directory)?.permissions())?;
    }
    Ok(fs::canonicalize(part)?)
}

/// What is filled by the node is not for pods to write.
fn is_writable(pod: &Pod, name: &str) -> bool {
    volumes_of(pod)
        .find(|volume| volume.name == name)
        .is_some_and(|volume| {
            volume.empty_dir.is_some()
                || volume
                    .persistent_volume_claim
                    .as_ref()
                    .is_some_and(|claim| claim.read_only != Some(true))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(directory: &Path, sub_path: &str) -> Result<PathBuf, VolumeError> {
        let mount = VolumeMount {
            sub_path_expr: Some(sub_path.into()),
            ..VolumeMount::default()
        };
        part_of(directory, &mount, &[("POD".into(), "p-0".into())])
    }

    #[test]
    fn a_part_of_a_volume_is_made_on_demand() {
        let volume = tempfile::tempdir().unwrap();
        let directory = fs::canonicalize(volume.path()).unwrap();
        assert_eq!(
            part(&directory, "logs/$(POD)").unwrap(),
            directory.join("logs/p-0")
        );
        assert!(directory.join("logs/p-0").is_dir());
    }

    #[test]
    fn a_link_does_not_lead_out_of_the_volume() {
        let volume = tempfile::tempdir().unwrap();
        let directory = fs::canonicalize(volume.path()).unwrap();
        std::os::unix::fs::symlink("/etc", directory.join("out")).unwrap();
        std::os::unix::fs::symlink("/nowhere", directory.join("dangling")).unwrap();
        for path in ["out", "out/new", "dangling"] {
            assert!(
                matches!(part(&directory, path), Err(VolumeError::Escape(_))),
                "{path}"
            );
        }
        assert!(!Path::new("/etc/new").exists());
    }
}
