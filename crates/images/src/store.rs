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
use sha2::{Digest as _, Sha256};

use crate::{
    error::ImageError,
    host,
    image::Image,
    prefect,
    python::Python,
    reference::{Recipe, known},
    tool::Tools,
};

/// Changes when recipes do, so that images of older ones are made anew.
const RECIPES: u32 = 1;

const MANIFEST: &str = "image.json";
const BUILDING: &str = ".building-";

/// What making an image reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PullProgress {
    /// The making of an image begins.
    Started {
        /// The reference asked for.
        reference: String,
    },
    /// Another program makes the same image; this one waits for it.
    Waiting,
    /// What is being done now.
    Step {
        /// For people.
        message: String,
    },
    /// The image is there.
    Done {
        /// The reference asked for.
        reference: String,
        /// What it is.
        about: String,
    },
}

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
            None => etcetera::choose_base_strategy().map_err(|_| ImageError::NoHome)?.cache_dir().join("prefect-e2e"),
        };
        let store = Self { directory: directory.into(), tools: Tools { guard: None } };
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

    /// The references that can be pulled, for people.
    #[must_use]
    pub fn known(&self) -> Vec<String> {
        known()
    }

    /// The image of `reference` if it is there and whole.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<Image> {
        self.load(&key(&Recipe::parse(reference)?), reference).map(|manifest| manifest.image)
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
        let building = tokio::task::spawn_blocking(move || store.pull_blocking(&reference, &report));
        building.await.unwrap_or_else(|error| {
            Err(ImageError::Command { action: "making the image", output: error.to_string(), hint: None })
        })
    }

    fn pull_blocking(&self, reference: &str, report: &dyn Fn(PullProgress)) -> Result<Image, ImageError> {
        let recipe = Recipe::parse(reference)
            .ok_or_else(|| ImageError::Unknown { reference: reference.to_owned(), known: known() })?;
        let key = key(&recipe);
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
        report(PullProgress::Started { reference: reference.to_owned() });
        let manifest = self.build(&recipe, &key, report)?;
        report(PullProgress::Done { reference: reference.to_owned(), about: manifest.about.clone() });
        Ok(self.placed(manifest.image, &key, reference))
    }

    /// Makes the image beside its place and moves it there when it is whole.
    fn build(&self, recipe: &Recipe, key: &str, report: &dyn Fn(PullProgress)) -> Result<Manifest, ImageError> {
        let draft = self.images().join(format!("{BUILDING}{key}"));
        let place = self.images().join(key);
        remove(&draft).map_err(ImageError::cache(&draft))?;
        let made = self.build_in(recipe, &draft, report).and_then(|manifest| {
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

    fn build_in(&self, recipe: &Recipe, draft: &Path, report: &dyn Fn(PullProgress)) -> Result<Manifest, ImageError> {
        let root = draft.join("root");
        fs::create_dir_all(&root).map_err(ImageError::cache(&root))?;
        let recorded = match recipe {
            Recipe::Prefect(tag) => {
                let tools_dir = self.directory.join("tools");
                fs::create_dir_all(&tools_dir).map_err(ImageError::cache(&tools_dir))?;
                let lock = self.lock_file("tools")?;
                lock.lock().map_err(ImageError::cache(&tools_dir))?;
                prefect::build(&self.tools, tag, &root, &tools_dir, report)?
            }
            Recipe::Busybox => busybox(&root).map_err(ImageError::cache(&root))?,
        };
        let mut files = Vec::new();
        list_files(&root, &root, &mut files).map_err(ImageError::cache(&root))?;
        let manifest = Manifest { image: recorded.image, python: recorded.python, about: recorded.about, files };
        let path = draft.join(MANIFEST);
        let text = serde_json::to_vec(&manifest).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text)).map_err(ImageError::cache(&path))?;
        Ok(manifest)
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
        File::options().create(true).append(true).open(&path).map_err(ImageError::cache(&path))
    }

    /// Removes drafts that nobody works on.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.images())? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(key) = name.to_str().and_then(|name| name.strip_prefix(BUILDING)) else { continue };
            let lock = File::options().create(true).append(true).open(self.images().join(format!("{key}.lock")))?;
            if lock.try_lock().is_ok() {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// What identifies an image: the recipe, not the spelling of the reference.
fn key(recipe: &Recipe) -> String {
    let digest = Sha256::digest(format!("{RECIPES} {recipe:?}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// `busybox`: the host's own programs.
fn busybox(root: &Path) -> io::Result<Recorded> {
    host::skeleton(root)?;
    host::users(root, "user", 1000, "/home")?;
    let image = Image {
        reference: String::new(),
        id: String::new(),
        root: PathBuf::new(),
        layers: host::complete(root, false)?,
        env: vec![("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into())],
        working_dir: "/".into(),
        user: 0,
        group: 0,
        entrypoint: Vec::new(),
        command: vec!["sh".into()],
    };
    Ok(Recorded { image, python: None, about: "the programs of this machine".into() })
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
        let again = store.pull("docker.io/library/busybox:1", |step| panic!("made again: {step:?}")).await.unwrap();
        assert_eq!((made.root.clone(), made.id), (again.root, again.id));
        fs::write(made.root.join("etc/passwd"), "damaged").unwrap();
        assert!(store.find("busybox").is_none());
        let repaired = store.pull("busybox", |_| {}).await.unwrap();
        assert!(fs::read_to_string(repaired.root.join("etc/passwd")).unwrap().starts_with("root:"));
    }

    #[tokio::test]
    async fn an_unknown_image_names_the_known_ones() {
        let (_directory, store) = store();
        let error = store.pull("nginx:1", |_| {}).await.unwrap_err();
        assert!(error.to_string().starts_with(r#"no recipe makes "nginx:1"; known are prefecthq/prefect:3-latest"#));
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
