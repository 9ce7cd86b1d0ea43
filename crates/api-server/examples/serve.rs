//! Serves an empty cluster's API on a free port and writes a kubeconfig for it: the way to try the API
//! with `kubectl`. There are no controllers and no node, so pods stay Pending.
//!
//! Usage: `cargo run -p prefect-e2e-api-server --example serve -- KUBECONFIG`

use std::{error::Error, io::Write, net::TcpListener, os::unix::fs::OpenOptionsExt, path::Path};

use prefect_e2e_api_server::{ApiOptions, ApiServer, Tls};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let kubeconfig = std::env::args_os().nth(1).ok_or("usage: serve KUBECONFIG")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let tls = Tls {
        cert_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    };
    let token = format!("{:032x}", rand::random::<u128>());
    let server = format!("https://{}", listener.local_addr()?);
    write_kubeconfig(Path::new(&kubeconfig), &server, &tls.cert_pem, &token)?;
    println!("{server}");
    ApiServer::new(ApiOptions::default())
        .serve(listener, tls, token)
        .await?;
    Ok(())
}

fn write_kubeconfig(path: &Path, server: &str, ca_pem: &str, token: &str) -> std::io::Result<()> {
    let ca = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, ca_pem);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    });
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(config.to_string().as_bytes())
}
