//! How a container tells the node of its start: a named pipe with one line of JSON.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::unix::pipe,
};

use crate::error::{Context as _, SandboxError, whole_message};

/// What became of a container's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// Its program runs as this process, as the node sees it.
    Started {
        /// The process identifier.
        pid: i32,
    },
    /// It did not start.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The node's end of the pipe.
pub struct ReportReader {
    lines: BufReader<pipe::Receiver>,
}

impl ReportReader {
    /// Makes the pipe at `path`.
    ///
    /// # Errors
    /// When the filesystem refuses.
    pub fn create(path: &Path) -> io::Result<Self> {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // open for writing too, the pipe has no end before the container has opened it
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(path)?;
        Ok(Self {
            lines: BufReader::new(pipe),
        })
    }

    /// Waits for the report. It never comes from a container that was killed first.
    ///
    /// # Errors
    /// When what comes is no report.
    pub async fn next(&mut self) -> io::Result<Report> {
        let mut line = String::new();
        self.lines.read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// The container's end. Open from the beginning: both processes of a container are in its mount
/// namespace, and once the inner one has entered its root, neither finds a file of the node by path.
pub(crate) struct ReportWriter(File);

impl ReportWriter {
    pub(crate) fn open(path: &Path) -> Result<Self, SandboxError> {
        let pipe = File::options().write(true).open(path);
        pipe.map(Self)
            .trying(|| format!("cannot open {}", path.display()))
    }

    pub(crate) fn started(&self, pid: i32) -> Result<(), SandboxError> {
        self.write(&Report::Started { pid })
            .trying(|| "cannot report the container's process".into())
    }

    /// Tells why; the node is gone if it cannot be told.
    pub(crate) fn failed(&self, error: &SandboxError) {
        let _ = self.write(&Report::Failed {
            reason: whole_message(error),
        });
    }

    fn write(&self, report: &Report) -> io::Result<()> {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        (&self.0).write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_report_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let mut reader = ReportReader::create(&path).unwrap();
        let writer = ReportWriter::open(&path).unwrap();
        writer.failed(&SandboxError::system(
            "cannot \"try\"",
            io::Error::from(io::ErrorKind::NotFound),
        ));
        writer.started(7).unwrap();
        let reason = "cannot \"try\": entity not found".to_owned();
        assert_eq!(reader.next().await.unwrap(), Report::Failed { reason });
        assert_eq!(reader.next().await.unwrap(), Report::Started { pid: 7 });
    }
}
