//! Where the certificate lies with which the server ends TLS itself.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The settings of one source.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// PEM file with the certificate and those that signed it; with it the server speaks HTTPS
    #[arg(long = "tls-certificate", global = true, env = "HUB_SERVER_TLS_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long = "tls-key", global = true, env = "HUB_SERVER_TLS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// The two files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that signed it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsSettings {
    /// What `self` says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { certificate: self.certificate.or(other.certificate), key: self.key.or(other.key) }
    }

    /// Both files, or plain HTTP.
    pub fn files(self) -> Result<Option<TlsFiles>, ConfigError> {
        match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (None, None) => Ok(None),
            _ => Err(ConfigError::HalfOfTls),
        }
    }
}

impl From<Option<TlsFiles>> for TlsSettings {
    fn from(files: Option<TlsFiles>) -> Self {
        let (certificate, key) = files.map(|files| (files.certificate, files.key)).unzip();
        Self { certificate, key }
    }
}
