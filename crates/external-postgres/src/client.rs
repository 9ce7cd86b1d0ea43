//! A connection to a server, as its user.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio_postgres::{Config, NoTls, SimpleQueryMessage, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{Options, error::ExternalPostgresError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How connections to one server are made. Never logged: it has no `Debug`.
pub(crate) struct Client {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Client {
    /// Connects to `address` as the user of `options`; over TLS, checking the server against the
    /// authority, if there is one.
    pub(crate) fn new(
        options: &Options,
        address: SocketAddr,
        ca_pem: Option<&str>,
    ) -> Result<Self, ExternalPostgresError> {
        let mut config = Config::new();
        config
            .host(address.ip().to_string())
            .port(address.port())
            .user(&options.user)
            .password(&options.password)
            .dbname(&options.database)
            .application_name("prefect-e2e")
            .connect_timeout(CONNECT_TIMEOUT)
            .ssl_mode(if ca_pem.is_some() {
                SslMode::Require
            } else {
                SslMode::Disable
            });
        let tls = ca_pem.map(tls_config).transpose()?.map(MakeRustlsConnect::new);
        Ok(Self { config, tls })
    }

    /// Runs statements on a connection of their own; gives the rows of all of them as text.
    pub(crate) async fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, ExternalPostgresError> {
        let refused = |source| ExternalPostgresError::Refused { source };
        let client = match self.tls.clone() {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls).await.map_err(refused)?;
                drop(tokio::spawn(connection));
                client
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(refused)?;
                drop(tokio::spawn(connection));
                client
            }
        };
        let answers = client.simple_query(sql).await.map_err(refused)?;
        let row = |answer: SimpleQueryMessage| match answer {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).unwrap_or_default().to_owned())
                    .collect(),
            ),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(row).collect())
    }

    /// The same, checking that the server is called `name`.
    #[cfg(test)]
    pub(crate) fn named(self, name: &str, address: SocketAddr) -> Self {
        let mut config = Config::new();
        config
            .host(name)
            .hostaddr(address.ip())
            .port(address.port())
            .ssl_mode(SslMode::Require);
        config.user(self.config.get_user().unwrap_or_default());
        config.password(self.config.get_password().unwrap_or_default());
        config.dbname(self.config.get_dbname().unwrap_or_default());
        Self { config, ..self }
    }

    /// Whether the server takes connections; the reason if not.
    pub(crate) async fn try_connect(&self) -> Result<(), ExternalPostgresError> {
        self.query("").await.map(drop)
    }
}

fn tls_config(ca_pem: &str) -> Result<ClientConfig, ExternalPostgresError> {
    let build = || {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|error| tokio_rustls::rustls::Error::General(error.to_string()))?;
        roots.add(authority)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        Ok(builder
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    };
    build().map_err(|source| ExternalPostgresError::Tls { source })
}
