//! Why an image is not available.

use std::{io, path::PathBuf};

/// An image cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No recipe makes this image.
    #[error("no recipe makes {reference:?}; known are {}", known.join(", "))]
    Unknown {
        /// The reference asked for.
        reference: String,
        /// What can be asked for.
        known: Vec<String>,
    },
    /// The package index has no such release.
    #[error("the package index has no prefect {version}; the nearest are {}", nearest.join(", "))]
    NoRelease {
        /// The version asked for.
        version: String,
        /// Versions of similar number.
        nearest: Vec<String>,
    },
    /// This machine has no Python.
    #[error("no python3 is on the PATH; install it, on Debian with `apt install python3 python3-venv`")]
    NoPython,
    /// This machine does not have the Python that the tag names.
    #[error("this machine has no Python {wanted}; it has {}", present.join(", "))]
    NoSuchPython {
        /// The version asked for.
        wanted: String,
        /// The versions present.
        present: Vec<String>,
    },
    /// A command of the recipe failed.
    #[error("{action} failed: {output}{}", hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default())]
    Command {
        /// What it was for.
        action: &'static str,
        /// The end of what it said.
        output: String,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// The package index does not tell when releases were uploaded.
    #[error(
        "the package index at {index} tells no upload times (PEP 700), which are needed to install \
         Prefect with the dependencies of its time"
    )]
    NoUploadTimes {
        /// The index asked.
        index: String,
    },
    /// A file of the cache could not be read or written.
    #[error("cannot use the image cache at {}", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The home directory of the user is not known.
    #[error("the home directory of this user is not known; set HOME or XDG_CACHE_HOME")]
    NoHome,
}

impl ImageError {
    pub(crate) fn cache(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Cache { path, source }
    }
}
