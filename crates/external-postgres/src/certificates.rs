//! The certificates of one server, made for it and forgotten with it.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use crate::{Tls, error::ExternalPostgresError};

/// An authority and a server certificate signed by it. Never logged: it has no `Debug`.
pub struct Certificates {
    /// The authority.
    pub ca_pem: String,
    /// The server's certificate.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl Certificates {
    /// Makes an authority and a certificate for the names and addresses of `tls`.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn generate(tls: &Tls) -> Result<Self, ExternalPostgresError> {
        Self::sign(tls).map_err(|source| ExternalPostgresError::Certificates { source })
    }

    fn sign(tls: &Tls) -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name
            .push(DnType::CommonName, "prefect-e2e PostgreSQL authority");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = ca.self_signed(&ca_key)?.pem();

        let names = std::iter::once("localhost".to_owned()).chain(tls.dns_names.iter().cloned());
        let mut server = CertificateParams::new(names.collect::<Vec<_>>())?;
        // clients of old look at the common name alone
        let name = tls.dns_names.first().map_or("localhost", String::as_str);
        server.distinguished_name.push(DnType::CommonName, name);
        let addresses = std::iter::once(IpAddr::V4(Ipv4Addr::LOCALHOST)).chain(tls.addresses.iter().copied());
        server.subject_alt_names.extend(addresses.map(SanType::IpAddress));
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key))?;
        Ok(Self {
            ca_pem,
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}
