//! Why there is no external PostgreSQL.

use std::{io, path::PathBuf};

use prefect_e2e_images::ImageError;

/// An external PostgreSQL cannot be started, asked or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalPostgresError {
    /// This machine has no server.
    #[error("no PostgreSQL server is available")]
    NoServer {
        /// Why none could be fetched either.
        source: ImageError,
    },
    /// The server found speaks no TLS.
    #[error(
        "PostgreSQL {version} of {} speaks no TLS; install one that does, on Debian with `apt install postgresql`, \
         or start a Docker engine",
        programs.display()
    )]
    NoTls {
        /// Its version.
        version: String,
        /// Where it lies.
        programs: PathBuf,
    },
    /// A certificate could not be made.
    #[error("cannot make certificates")]
    Certificates {
        /// The reason.
        source: rcgen::Error,
    },
    /// A file of the server could not be written.
    #[error("cannot prepare PostgreSQL in {}", path.display())]
    Files {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A process of the server could not be run.
    #[error("cannot run PostgreSQL")]
    Process {
        /// What the kernel said.
        source: io::Error,
    },
    /// The server ended instead of taking connections.
    #[error("PostgreSQL did not start: {log}")]
    Ended {
        /// The end of what it said.
        log: String,
    },
    /// The server took no connection in time.
    #[error("PostgreSQL takes no connections after {seconds} s")]
    Unreachable {
        /// How long was waited, in seconds.
        seconds: u64,
        /// Why the last connection failed.
        source: Box<ExternalPostgresError>,
    },
    /// The container engine does not answer or refuses.
    #[error("the container engine does not run PostgreSQL")]
    Engine {
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS for the connection")]
    Tls {
        /// The reason.
        source: tokio_rustls::rustls::Error,
    },
    /// The connection failed, or the server refused a statement.
    #[error("PostgreSQL refuses")]
    Refused {
        /// What it said.
        source: tokio_postgres::Error,
    },
}

impl ExternalPostgresError {
    pub(crate) fn files(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { path, source }
    }

    pub(crate) fn engine(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Engine {
            source: source.into(),
        }
    }
}
