//! Files that are watched: those whose change means that a scenario must be deployed anew.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Editors write a file in several strokes: a change counts once none has followed for this long.
const QUIET: Duration = Duration::from_millis(200);

/// Tells of changes of some files while it lives.
pub(crate) struct Watched {
    changes: mpsc::UnboundedReceiver<PathBuf>,
    _watcher: RecommendedWatcher,
}

impl Watched {
    /// Watches `paths`: files, and directories with all that is in them.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(crate) fn new(paths: &[PathBuf]) -> notify::Result<Self> {
        let paths: Vec<PathBuf> = paths
            .iter()
            .map(|path| {
                path.canonicalize()
                    .map_err(|error| notify::Error::io(error).add_path(path.clone()))
            })
            .collect::<Result<_, _>>()?;
        let (sender, changes) = mpsc::unbounded_channel();
        let watched = paths.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            for path in event.paths.iter().filter(|path| concerns(&watched, path)) {
                // who waits for changes may be gone already
                let _ = sender.send(path.clone());
            }
        })?;
        for path in &paths {
            // an editor may put a new file in the place of the old one, which only the directory tells
            let (directory, mode) = match path.is_dir() {
                true => (path.as_path(), RecursiveMode::Recursive),
                false => (path.parent().unwrap_or(path), RecursiveMode::NonRecursive),
            };
            watcher.watch(directory, mode)?;
        }
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// Waits for the next change, and until no other follows; gives what changed.
    pub(crate) async fn change(&mut self) -> PathBuf {
        let first = match self.changes.recv().await {
            Some(path) => path,
            None => std::future::pending().await,
        };
        while let Ok(Some(_)) = tokio::time::timeout(QUIET, self.changes.recv()).await {}
        first
    }
}

/// Whether a change at `path` is one of what is watched. Editors' own files are none.
fn concerns(watched: &[PathBuf], path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let of_an_editor =
        name.starts_with('.') || name.ends_with('~') || name.starts_with('#') || name == "4913";
    !of_an_editor && watched.iter().any(|one| path.starts_with(one))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_saved_file_is_told_once_and_others_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let (file, other) = (directory.join("one.yaml"), directory.join("other.yaml"));
        let chart = directory.join("chart");
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(&file, "1").unwrap();
        let mut watched = Watched::new(&[file.clone(), chart.clone()]).unwrap();
        fs::write(&other, "1").unwrap();
        fs::write(directory.join(".one.yaml.swp"), "1").unwrap();
        fs::write(&file, "2").unwrap();
        fs::write(&file, "3").unwrap();
        assert_eq!(watched.change().await, file);
        // as editors do: a new file in the place of the old one
        fs::write(directory.join("new"), "4").unwrap();
        fs::rename(directory.join("new"), &file).unwrap();
        assert_eq!(watched.change().await, file);
        let template = chart.join("templates/server.yaml");
        fs::write(&template, "x").unwrap();
        assert_eq!(watched.change().await, template);
        assert!(watched.changes.is_empty());
    }

    #[test]
    fn what_is_not_there_cannot_be_watched() {
        let error = Watched::new(&["nowhere/x.yaml".into()]).err().unwrap();
        assert!(format!("{error}").contains("nowhere/x.yaml"), "{error}");
    }
}
