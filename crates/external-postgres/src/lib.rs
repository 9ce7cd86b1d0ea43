//! A PostgreSQL outside the cluster, for the time of a scenario's run.
//!
//! It is a fresh cluster with certificates of its own, listens on loopback alone, and is gone with the
//! value, or with this process when that is killed. It runs in a container when a Docker engine answers,
//! else from the machine's own programs; both behave alike.
//!
//! # Usage
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use prefect_e2e_external_postgres::{ExternalPostgres, Options, Tls};
//! use prefect_e2e_images::ImageStore;
//!
//! let tls = Tls { dns_names: vec!["postgres.example".into()], required: true, ..Tls::default() };
//! let options = Options { tls: Some(tls), ..Options::new("prefect", "secret", "server", ImageStore::open(None)?) };
//! let postgres = ExternalPostgres::start(options).await?;
//! let sessions = postgres.query("SELECT pid, ssl FROM pg_stat_ssl").await?;
//! # drop(sessions);
//! postgres.stop().await?;
//! # Ok(())
//! # }
//! ```

mod certificates;
mod client;
mod container;
mod error;
mod machine;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use async_trait::async_trait;
use prefect_e2e_images::ImageStore;

pub use certificates::Certificates;
pub use container::remove_leftovers;
pub use error::ExternalPostgresError;

use crate::client::Client;

/// What PostgreSQL to start.
#[derive(Clone)]
pub struct Options {
    /// The only user, a superuser as in the image `postgres`.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The user's database.
    pub database: String,
    /// How it speaks TLS; not at all if `None`.
    pub tls: Option<Tls>,
    /// What it runs in.
    pub backend: Backend,
    /// The major version preferred; any that Prefect works with where the machine has no such.
    pub major: u32,
    /// Where a server comes from when the machine has none.
    pub images: ImageStore,
    /// Labels of the container, if it is one.
    pub labels: BTreeMap<String, String>,
    /// The network of the container, if it is one; the engine's default if `None`.
    pub network: Option<String>,
}

impl Options {
    /// A PostgreSQL 15 without TLS.
    #[must_use]
    pub fn new(
        user: impl Into<String>,
        password: impl Into<String>,
        database: impl Into<String>,
        images: ImageStore,
    ) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            database: database.into(),
            tls: None,
            backend: Backend::default(),
            major: 15,
            images,
            labels: BTreeMap::new(),
            network: None,
        }
    }

    /// Who may connect, and how: lines of `pg_hba.conf`.
    fn access(&self) -> &'static str {
        match &self.tls {
            Some(tls) if tls.required => "hostssl all all all scram-sha-256\n",
            _ => "host all all all scram-sha-256\n",
        }
    }
}

/// How a server speaks TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Names in its certificate, besides `localhost`.
    pub dns_names: Vec<String>,
    /// Addresses in its certificate, besides 127.0.0.1.
    pub addresses: Vec<IpAddr>,
    /// Whether connections without it are refused.
    pub required: bool,
}

/// What a server runs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// A container if an engine answers and has or gets the image, else the machine's programs.
    #[default]
    Auto,
    /// A container.
    Container,
    /// The machine's programs.
    Machine,
}

/// A running server, whatever it runs in. Dropping it ends it.
#[async_trait]
trait Server: Send + Sync {
    /// Where it listens, on loopback.
    fn address(&self) -> SocketAddr;

    /// Its address in the container network asked for.
    fn network_address(&self) -> Option<SocketAddr>;

    /// What it is, for people.
    fn about(&self) -> &str;

    /// Ends it and removes what it left.
    async fn stop(self: Box<Self>) -> Result<(), ExternalPostgresError>;
}

/// A running PostgreSQL.
///
/// Dropping it ends it too, but tells no error.
pub struct ExternalPostgres {
    server: Box<dyn Server>,
    client: Client,
    ca_pem: Option<String>,
}

impl ExternalPostgres {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// When there is neither a container engine nor a PostgreSQL that can do what is asked, or it does
    /// not start.
    pub async fn start(options: Options) -> Result<Self, ExternalPostgresError> {
        let certificates = options.tls.as_ref().map(Certificates::generate).transpose()?;
        let certificates = certificates.as_ref();
        let server: Box<dyn Server> = match options.backend {
            Backend::Container => Box::new(container::start(&options, certificates).await?),
            Backend::Machine => Box::new(machine::start(&options, certificates).await?),
            Backend::Auto => match container::start(&options, certificates).await {
                Ok(server) => Box::new(server),
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "no container for PostgreSQL"
                    );
                    Box::new(machine::start(&options, certificates).await?)
                }
            },
        };
        let ca_pem = certificates.map(|certificates| certificates.ca_pem.clone());
        let client = Client::new(&options, server.address(), ca_pem.as_deref())?;
        Ok(Self {
            server,
            client,
            ca_pem,
        })
    }

    /// Where it listens, on loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where other containers of [`Options::network`] reach it; `None` when it is no container there.
    #[must_use]
    pub fn network_address(&self) -> Option<SocketAddr> {
        self.server.network_address()
    }

    /// The authority that signed its certificate, as PEM; `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// What it is, for people: `PostgreSQL 15.18 of /usr/lib/postgresql/15/bin`.
    #[must_use]
    pub fn about(&self) -> &str {
        self.server.about()
    }

    /// Runs statements as the user in its database, over TLS if the server speaks it, and gives the rows
    /// of all of them as text; a NULL is an empty text.
    ///
    /// # Errors
    /// When the server does not answer or refuses the statements.
    pub async fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, ExternalPostgresError> {
        self.client.query(sql).await
    }

    /// Ends the server and removes its data.
    ///
    /// # Errors
    /// When something of it remains.
    pub async fn stop(self) -> Result<(), ExternalPostgresError> {
        self.server.stop().await
    }
}
