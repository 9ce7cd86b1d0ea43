//! Where the kubeconfig of a run's own cluster is, readable by its owner alone.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use prefect_e2e_local_cluster::StateDir;

use super::TargetError;

/// A directory that goes with this value. What killed runs left is removed by the next one
/// and by [`remove_left`].
pub(crate) struct RunDirectory(PathBuf);

impl RunDirectory {
    pub(crate) fn make() -> Result<Self, TargetError> {
        let runs = runs()?;
        Self::make_in(&runs).map_err(|source| TargetError::File { path: runs, source })
    }

    fn make_in(runs: &Path) -> io::Result<Self> {
        fs::create_dir_all(runs)?;
        remove_left_in(runs)?;
        let directory = runs.join(format!(
            "{}-{}",
            std::process::id(),
            uuid::Uuid::new_v4().simple()
        ));
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(Self(directory))
    }

    /// Where the kubeconfig of the run's cluster is written.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }
}

fn runs() -> Result<PathBuf, TargetError> {
    Ok(StateDir::of_user()?.path().join("runs"))
}

/// Removes the directories of runs that were killed.
pub(crate) fn remove_left() -> Result<(), TargetError> {
    let runs = runs()?;
    remove_left_in(&runs).map_err(|source| TargetError::File { path: runs, source })
}

fn remove_left_in(runs: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.split('-').next());
        if pid.is_none_or(|pid| !Path::new("/proc").join(pid).exists()) {
            // another run may remove it at the same time
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // the cluster that it leads to is gone, too
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_a_living_one_has_is_not() {
        let runs = tempfile::tempdir().unwrap();
        let living = RunDirectory::make_in(runs.path()).unwrap();
        // no process has a number of this size
        let killed = runs.path().join(format!("{}-0", u32::MAX));
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join("kubeconfig"), "token: x").unwrap();
        remove_left_in(runs.path()).unwrap();
        assert!(!killed.exists());
        assert!(living.0.is_dir());
        remove_left_in(Path::new("/nowhere/at/all")).unwrap();
    }
}
