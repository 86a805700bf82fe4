//! Ending TLS here: the certificate, and taking a renewed one without a restart.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum_server::tls_rustls::RustlsConfig;
use hub_schemas::digest::{Digest, DigestHasher};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use time::OffsetDateTime;

use crate::{config::TlsFiles, telemetry::Telemetry};

/// Whoever renews certificates does it weeks before their end.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
#[error("can't use the TLS file `{path}`: {reason}")]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

/// A certificate that fits its key.
pub(crate) struct Certificate {
    config: Arc<ServerConfig>,
    /// When it ends.
    pub(crate) expires: OffsetDateTime,
    /// Of both files: whether there is anything new.
    content: Digest,
}

impl Certificate {
    /// Reads both files and checks that they belong together.
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let refuse = |path: &PathBuf, reason: &dyn std::fmt::Display| TlsError {
            path: path.clone(),
            reason: reason.to_string(),
        };
        let of_certificate = |reason: &dyn std::fmt::Display| refuse(&files.certificate, reason);
        let of_key = |reason: &dyn std::fmt::Display| refuse(&files.key, reason);
        let text = std::fs::read(&files.certificate).map_err(|e| of_certificate(&e))?;
        let secret = std::fs::read(&files.key).map_err(|e| of_key(&e))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|e| of_certificate(&e))?;
        let first = chain.first().ok_or_else(|| of_certificate(&"it holds no certificate in PEM form"))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|e| of_certificate(&e))?;
        let expires = parsed.validity().not_after.to_datetime();
        let key = PrivateKeyDer::from_pem_slice(&secret)
            .map_err(|e| of_key(&format!("it holds no private key in PEM form ({e})")))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| of_certificate(&e))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| of_key(&e))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut content = DigestHasher::default();
        content.update(&text);
        content.update(&secret);
        Ok(Self { config: Arc::new(config), expires, content: content.finish() })
    }
}

/// The certificate that is served, and the files it came from.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    /// What every new connection takes.
    pub(crate) acceptor: RustlsConfig,
    content: Digest,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: TlsFiles, telemetry: &Telemetry) -> Result<Self, TlsError> {
        let read = Certificate::read(&files)?;
        telemetry.certificate_expires(read.expires);
        Ok(Self { files, acceptor: RustlsConfig::from_config(read.config), content: read.content })
    }

    /// Looks at the files every minute, and at once on SIGHUP. A pair that does not
    /// fit (one of two files is written already) changes nothing and is looked at again.
    pub(crate) async fn keep_current(mut self, telemetry: Telemetry, mut hang_up: HangUp) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.tick().await;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = hang_up.next() => {}
            }
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || Certificate::read(&files)).await {
                Ok(Ok(read)) if read.content != self.content => {
                    telemetry.certificate_expires(read.expires);
                    tracing::info!(tls.expires = %read.expires, "Took a new certificate, valid until {}", read.expires);
                    self.content = read.content;
                    self.acceptor.reload_from_config(read.config);
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "Kept the certificate as it was: {error}");
                }
                Err(error) => tracing::warn!(%error, "Could not look for a new certificate: {error}"),
            }
        }
    }
}

/// SIGHUP, which asks to read files again. Listening for it also keeps it from
/// ending a server that has none to read.
#[derive(Debug)]
pub(crate) struct HangUp {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl HangUp {
    /// Begins to listen.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
