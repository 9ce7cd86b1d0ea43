//! Connections over TCP and TLS.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// The certificate that the API shows its clients.
#[derive(Clone)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate or the key is not usable PEM.
    #[error("the API's certificate or key is not valid PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The certificate and the key do not make a TLS configuration.
    #[error("the API's certificate cannot be used")]
    Certificate(#[from] rustls::Error),
    /// The listener failed.
    #[error("the API's listener failed")]
    Listener(#[from] io::Error),
}

/// Accepts connections until the future is dropped; with it end the connections.
pub(crate) async fn serve(listener: TcpListener, tls: Tls, router: Router) -> Result<(), ServeError> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(&tls)?));
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, acceptor.clone(), router.clone()));
                }
                Err(error) => {
                    // out of file descriptors, or the client is gone already: neither ends the server
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn server_config(tls: &Tls) -> Result<ServerConfig, ServeError> {
    let chain = CertificateDer::pem_slice_iter(tls.cert_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve_connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let accepted = async {
        stream.set_nodelay(true)?;
        acceptor.accept(stream).await
    };
    let stream = match accepted.await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
    };
    let mut builder = auto::Builder::new(hyper_util::rt::TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new());
    let service = TowerToHyperService::new(router);
    if let Err(error) = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(error, "connection ended");
    }
}
