//! Certificates for registries on loopback.

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate; it signed itself.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// A new certificate for `127.0.0.1`.
pub fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    Certificate { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}
