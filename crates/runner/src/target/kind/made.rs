//! Which kind clusters runs have made, so that one that was killed can be cleaned up after, and nothing
//! else is ever touched.
//!
//! Who holds the lock of a record is the run that made the cluster. A killed run loses it with its process.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use prefect_e2e_local_cluster::StateDir;

use crate::target::{TargetError, program::kind};

/// The record of a cluster that this process made; the lock goes with the value, the record with
/// [`MadeCluster::forget`].
pub(crate) struct MadeCluster {
    name: String,
    path: PathBuf,
    _lock: File,
}

impl MadeCluster {
    /// Records that this process is about to make the cluster `name`.
    pub(crate) fn record(name: &str) -> Result<Self, TargetError> {
        Self::record_in(&directory()?, name)
    }

    fn record_in(directory: &Path, name: &str) -> Result<Self, TargetError> {
        let path = directory.join(name);
        let failed = |source| TargetError::File {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = File::create(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            path,
            _lock: lock,
        })
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The cluster is gone, or somebody else's from now on.
    pub(crate) fn forget(self) -> Result<(), TargetError> {
        fs::remove_file(&self.path).map_err(|source| TargetError::File {
            path: self.path.clone(),
            source,
        })
    }
}

/// Deletes the clusters of runs that were killed, and gives their names; `dry_run` only gives the names.
pub(crate) async fn delete_left(dry_run: bool) -> Result<Vec<String>, TargetError> {
    let left = left_in(&directory()?)?;
    let mut names = Vec::new();
    for cluster in left {
        if !dry_run {
            kind()
                .run(&["delete", "cluster", "--name", cluster.name()])
                .await?;
        }
        names.push(cluster.name().to_owned());
        if !dry_run {
            cluster.forget()?;
        }
    }
    Ok(names)
}

fn directory() -> Result<PathBuf, TargetError> {
    Ok(StateDir::of_user()?.path().join("kind"))
}

/// The records that no process holds, held by this one from now on.
fn left_in(directory: &Path) -> Result<Vec<MadeCluster>, TargetError> {
    let failed = |source| TargetError::File {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut left = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let lock = match OpenOptions::new().write(true).open(&path) {
            // its run has ended in the meantime
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.map_err(failed)?,
        };
        match lock.try_lock() {
            Ok(()) => left.push(MadeCluster {
                name: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                path,
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_whose_run_was_killed_is_left_and_one_of_a_living_run_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let living = MadeCluster::record_in(directory.path(), "living").unwrap();
        // a killed process drops its locks and leaves its records
        drop(MadeCluster::record_in(directory.path(), "killed").unwrap());
        let left = left_in(directory.path()).unwrap();
        let names: Vec<&str> = left.iter().map(MadeCluster::name).collect();
        assert_eq!(names, ["killed"]);
        assert!(
            left_in(directory.path()).unwrap().is_empty(),
            "who cleans up holds the record"
        );
        living.forget().unwrap();
        for cluster in left {
            cluster.forget().unwrap();
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_directory_nothing_is_left() {
        assert!(left_in(Path::new("/nowhere/at/all")).unwrap().is_empty());
    }
}
