//! An image: a root filesystem and how to run what is in it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A root filesystem ready to run, and the configuration that a registry would have told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The reference that it was asked for by.
    pub reference: String,
    /// What identifies its content: `sha256:…` over the recipe and what it was made of.
    pub id: String,
    /// The root directory. It is never written.
    pub root: PathBuf,
    /// What of the host completes the root, read-only, in order.
    pub layers: Vec<HostLayer>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Where its program starts.
    pub working_dir: PathBuf,
    /// The user of its processes.
    pub user: u32,
    /// The group of its processes.
    pub group: u32,
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that a container may replace.
    pub command: Vec<String>,
}

/// A directory or file of the host, seen read-only in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLayer {
    /// On the host; `None` for the program itself, which serves as `tini`.
    pub source: Option<PathBuf>,
    /// In the image.
    pub target: PathBuf,
    /// Whether what the image has at `target` lies over it.
    pub merge: bool,
}
