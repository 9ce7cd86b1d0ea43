//! What proves the cluster to its clients and its clients to the cluster: a certificate authority,
//! the API server's certificate and a bearer token, all made for one run.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use kube::config::Kubeconfig;
use rand::RngCore as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Name of the cluster, the user and the context in the kubeconfig.
pub const CONTEXT: &str = "prefect-e2e";

/// The Service address under which pods reach the API server.
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// The names under which pods reach the API server.
const SERVICE_NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Credentials of one cluster. Never logged: it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    pub(crate) token: String,
}

impl Identity {
    /// Makes a new authority, a server certificate signed by it, and a token of 256 bits.
    pub(crate) fn generate() -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "prefect-e2e-ca");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?;

        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new(SERVICE_NAMES.map(String::from))?;
        server
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        server
            .subject_alt_names
            .extend([IpAddr::V4(Ipv4Addr::LOCALHOST), SERVICE_ADDRESS].map(SanType::IpAddress));
        let certificate = server.signed_by(&server_key, &Issuer::new(ca, ca_key))?;

        Ok(Self {
            ca_pem: ca_certificate.pem(),
            cert_pem: certificate.pem(),
            key_pem: server_key.serialize_pem(),
            token: random_token(),
        })
    }

    /// The kubeconfig of a client that reaches the API server at `address`.
    pub(crate) fn kubeconfig(&self, address: SocketAddr) -> Kubeconfig {
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority-data": STANDARD.encode(&self.ca_pem),
            }}],
            "users": [{"name": CONTEXT, "user": {"token": self.token}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            "current-context": CONTEXT,
        });
        #[expect(clippy::expect_used, reason = "a literal of the kubeconfig's own shape")]
        serde_json::from_value(document).expect("the document has the shape of a kubeconfig")
    }
}

fn random_token() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_share_neither_token_nor_key() {
        let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        assert_ne!(one.token, other.token);
        assert_ne!(one.key_pem, other.key_pem);
        assert_ne!(one.ca_pem, other.ca_pem);
    }

    #[test]
    fn the_kubeconfig_names_the_address_and_carries_the_authority() {
        let identity = Identity::generate().unwrap();
        let kubeconfig = identity.kubeconfig("127.0.0.1:6443".parse().unwrap());
        let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        let ca = STANDARD
            .decode(cluster.certificate_authority_data.as_ref().unwrap())
            .unwrap();
        assert_eq!(ca, identity.ca_pem.as_bytes());
        assert_eq!(kubeconfig.current_context.as_deref(), Some(CONTEXT));
    }
}
