//! The cluster that stands on its own, outside a run: `prefect-e2e cluster up`, in the foreground or
//! detached, at most one a user.
//!
//! Who holds the lock of the record file is the cluster. A killed one loses the lock with its process,
//! so neither a stale file nor a reused process identifier is ever taken for a running cluster.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    net::SocketAddr,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use etcetera::BaseStrategy as _;
use kube::config::Kubeconfig;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{cluster::Cluster, error::ClusterError};

/// Where the record of the standing cluster lives.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

/// A standing cluster, as its record tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StandingCluster {
    /// The process that holds it; SIGTERM ends it.
    pub pid: u32,
    /// Where its API server listens.
    pub address: SocketAddr,
    /// The kubeconfig of its administrator.
    pub kubeconfig: PathBuf,
}

/// The right to be the standing cluster; the record and the kubeconfig go with it.
pub struct Claim {
    record: File,
    dir: StateDir,
}

impl StateDir {
    /// `$XDG_STATE_HOME/prefect-e2e`, by default `~/.local/state/prefect-e2e`.
    ///
    /// # Errors
    /// When the home directory of the user is not known.
    pub fn of_user() -> Result<Self, ClusterError> {
        let strategy = etcetera::choose_base_strategy().map_err(|_| ClusterError::NoHome)?;
        let base = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
        Ok(Self(base.join("prefect-e2e")))
    }

    /// A state directory at `path`.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the detached cluster writes its messages.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.0.join("cluster.log")
    }

    fn record_path(&self) -> PathBuf {
        self.0.join("cluster.json")
    }

    fn kubeconfig_path(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }

    /// The standing cluster; `None` when none is up.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn standing(&self) -> Result<Option<StandingCluster>, ClusterError> {
        let path = self.record_path();
        match File::open(&path) {
            Ok(record) => read_if_locked(record).map_err(|source| ClusterError::File { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ClusterError::File { path, source }),
        }
    }

    /// Claims to be the standing cluster.
    ///
    /// # Errors
    /// [`ClusterError::AlreadyUp`] when another one is, [`ClusterError::File`] when the directory
    /// cannot be written.
    pub fn claim(&self) -> Result<Claim, ClusterError> {
        let path = self.record_path();
        let record = fs::create_dir_all(&self.0)
            .and_then(|()| private_file().truncate(false).open(&path))
            .map_err(|source| ClusterError::File {
                path: path.clone(),
                source,
            })?;
        match record.try_lock() {
            Ok(()) => Ok(Claim {
                record,
                dir: self.clone(),
            }),
            Err(TryLockError::WouldBlock) => Err(ClusterError::AlreadyUp {
                pid: self.standing()?.map_or(0, |cluster| cluster.pid),
            }),
            Err(TryLockError::Error(source)) => Err(ClusterError::File { path, source }),
        }
    }

    /// Starts `executable cluster up` as a process of its own and returns when the cluster is ready.
    ///
    /// # Errors
    /// When one is up already or the new one does not become ready; its messages are in
    /// [`StateDir::log_path`].
    pub async fn detach(
        &self,
        executable: &Path,
        port: Option<u16>,
    ) -> Result<StandingCluster, ClusterError> {
        drop(self.claim()?);
        let path = self.log_path();
        let log = private_file()
            .truncate(true)
            .open(&path)
            .map_err(|source| ClusterError::File {
                path: path.clone(),
                source,
            })?;
        let mut command = Command::new(executable);
        command
            .args(["cluster", "up"])
            .args(port.map(|port| format!("--port={port}")));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0);
        let child = tokio::process::Command::from(command).spawn();
        let mut child = child.map_err(|source| ClusterError::File {
            path: executable.to_owned(),
            source,
        })?;
        if let Some(stdout) = child.stdout.take() {
            // the first line comes when the cluster is ready, the end of the stream when it never will be
            let _ = BufReader::new(stdout).lines().next_line().await;
        }
        self.standing()?.ok_or(ClusterError::Detached { log: path })
    }

    /// Ends the standing cluster; `None` when none was up.
    ///
    /// # Errors
    /// When it cannot be told to end, or still stands after `patience`.
    pub async fn end(&self, patience: Duration) -> Result<Option<StandingCluster>, ClusterError> {
        let Some(cluster) = self.standing()? else {
            return Ok(None);
        };
        let pid = i32::try_from(cluster.pid).map_err(|_| ClusterError::Immortal { pid: cluster.pid })?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|errno| ClusterError::File {
            path: self.record_path(),
            source: errno.into(),
        })?;
        let gone = async {
            while self.standing()?.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(Some(cluster.clone()))
        };
        tokio::time::timeout(patience, gone)
            .await
            .unwrap_or(Err(ClusterError::Immortal { pid: cluster.pid }))
    }
}

impl Claim {
    /// Records `cluster` as the standing one and writes its kubeconfig, mode 0600.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn record(&mut self, cluster: &Cluster) -> Result<StandingCluster, ClusterError> {
        let kubeconfig = self.dir.kubeconfig_path();
        write_kubeconfig(&kubeconfig, &cluster.kubeconfig())?;
        let standing = StandingCluster {
            pid: std::process::id(),
            address: cluster.address(),
            kubeconfig,
        };
        self.write(&standing).map_err(|source| ClusterError::File {
            path: self.dir.record_path(),
            source,
        })?;
        Ok(standing)
    }

    fn write(&mut self, standing: &StandingCluster) -> io::Result<()> {
        self.record.set_len(0)?;
        self.record.rewind()?;
        serde_json::to_writer(&self.record, standing)?;
        self.record.flush()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // the record stays, empty: were it removed, two that come next could each lock a file of that name
        let _ = self.record.set_len(0);
        let _ = fs::remove_file(self.dir.kubeconfig_path());
    }
}

/// Writes a kubeconfig with mode 0600, all or nothing.
///
/// # Errors
/// When the file cannot be written.
pub fn write_kubeconfig(path: &Path, kubeconfig: &Kubeconfig) -> Result<(), ClusterError> {
    let draft = path.with_extension("part");
    let write = || {
        let mut file = private_file().truncate(true).open(&draft)?;
        // JSON is YAML, and kubectl reads both
        serde_json::to_writer_pretty(&file, kubeconfig)?;
        file.write_all(b"\n")?;
        fs::rename(&draft, path)
    };
    write().map_err(|source| ClusterError::File {
        path: path.to_owned(),
        source,
    })
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

fn read_if_locked(mut record: File) -> io::Result<Option<StandingCluster>> {
    match record.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            record.read_to_string(&mut text)?;
            // a claim without a record is a cluster that is still starting
            Ok(serde_json::from_str(&text).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path().join("state"));
        (dir, state)
    }

    fn standing() -> StandingCluster {
        StandingCluster {
            pid: 42,
            address: "127.0.0.1:6443".parse().unwrap(),
            kubeconfig: "k".into(),
        }
    }

    #[test]
    fn nothing_stands_where_nothing_was_claimed() {
        let (_dir, state) = state();
        assert!(state.standing().unwrap().is_none());
    }

    #[test]
    fn a_recorded_claim_stands_until_it_is_dropped() {
        let (_dir, state) = state();
        let mut claim = state.claim().unwrap();
        assert!(
            state.standing().unwrap().is_none(),
            "a cluster that starts does not stand yet"
        );
        claim.write(&standing()).unwrap();
        assert_eq!(state.standing().unwrap().unwrap().pid, 42);
        assert!(matches!(state.claim(), Err(ClusterError::AlreadyUp { pid: 42 })));
        drop(claim);
        assert!(state.standing().unwrap().is_none());
        assert_eq!(fs::metadata(state.record_path()).unwrap().len(), 0);
    }

    #[test]
    fn the_record_of_a_killed_cluster_does_not_stand() {
        let (_dir, state) = state();
        fs::create_dir_all(&state.0).unwrap();
        fs::write(state.record_path(), serde_json::to_string(&standing()).unwrap()).unwrap();
        assert!(state.standing().unwrap().is_none());
        assert!(state.claim().is_ok());
    }

    #[test]
    fn a_kubeconfig_is_readable_by_its_owner_alone() {
        let (dir, _state) = state();
        let path = dir.path().join("kubeconfig");
        write_kubeconfig(&path, &Kubeconfig::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 1, "no draft is left");
    }
}
