//! Certificates for registries on loopback.

use std::{fs, path::Path};

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate; it signed itself.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Certificate {
    /// Writes the two files into `folder`; the flags that name them.
    pub fn install(&self, folder: &Path) -> [String; 4] {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let (first, second) = (path("certificate.pem"), path("key.pem"));
        fs::write(&first, &self.certificate).expect("writes");
        fs::write(&second, &self.key).expect("writes");
        ["--tls-certificate".to_owned(), first, "--tls-key".to_owned(), second]
    }
}

/// A new certificate for `127.0.0.1`.
pub fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    Certificate { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}
