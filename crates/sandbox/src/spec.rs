//! What a container is, as data: written by the node, read by the helper process that makes it.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A container to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// A directory of the container's own, on a writable filesystem; holds its upper layer.
    pub directory: PathBuf,
    /// The image's root, which stays as it is.
    pub root: PathBuf,
    /// Read-only directories and files of the host that complete the image.
    pub layers: Vec<Layer>,
    /// Volumes and files, in order.
    pub mounts: Vec<Mount>,
    /// Whether the root filesystem is read-only once all is mounted.
    pub read_only_root: bool,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Where the program starts; made if absent.
    pub working_dir: PathBuf,
    /// As whom it runs.
    pub identity: Identity,
    /// The pod's namespaces.
    pub namespaces: Namespaces,
    /// Whether its standard input is a terminal for it to control.
    pub terminal: bool,
    /// The named pipe that gets the [`Report`](crate::Report) of its start.
    pub report: PathBuf,
}

/// A directory or file of the host, seen read-only in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Whether what the image has at `target` lies over it rather than under it.
    pub merge: bool,
}

/// A directory or file seen in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// As the node sees it.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Whether the container may write it.
    pub writable: bool,
}

/// As whom a container runs, and with which rights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// More groups; an ordinary user's node has none to give.
    pub groups: Vec<u32>,
    /// The capabilities that the container keeps, such as `CHOWN`; all others are gone for good.
    pub capabilities: BTreeSet<String>,
    /// Whether programs may gain rights, as set-user-ID programs do.
    pub may_gain_rights: bool,
}

/// The namespaces that the containers of a pod share, as paths that can be entered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Namespaces {
    /// The network.
    pub network: PathBuf,
    /// System V and POSIX queues, semaphores and shared memory.
    pub ipc: PathBuf,
    /// The host name.
    pub uts: PathBuf,
}
