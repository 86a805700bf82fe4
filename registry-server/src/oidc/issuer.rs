//! The keys of an issuer: asked for once for everybody who waits, and kept for some minutes.

use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use reqwest::{Client, Url, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use crate::{config::IssuerConfig, outgoing::choose_tls};

/// A key that was withdrawn is believed no longer than this.
const FRESH: Duration = Duration::from_mins(10);
/// Keys that could not be asked for again are believed so long: the issuer is down.
const USABLE: Duration = Duration::from_hours(24);
/// Tokens with keys that nobody knows make this server ask so often at most.
const REST: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(5);
/// Sets of keys have some kilobytes.
const MAX_BYTES: usize = 256 << 10;

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// The issuer does not answer, or not as one.
    #[error("the keys of `{issuer}` can't be read: {reason}")]
    Unavailable {
        /// Who.
        issuer: String,
        /// What happened.
        reason: String,
    },
    /// The issuer has no such key.
    #[error("`{issuer}` has no key {}", .kid.as_ref().map_or("for a token that names none".to_owned(), |kid| format!("`{kid}`")))]
    Unknown {
        /// Who.
        issuer: String,
        /// How the token calls its key.
        kid: Option<String>,
    },
}

/// An issuer and what is known of its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) config: IssuerConfig,
    client: Client,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<(JwkSet, Instant)>,
    /// When it was asked last, and with what result.
    asked: Option<(Instant, Result<(), KeyError>)>,
}

/// What is needed of a discovery document (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: Url,
}

impl Issuer {
    pub(super) fn new(config: IssuerConfig) -> Result<Self, reqwest::Error> {
        choose_tls();
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { config, client, known: Mutex::default() })
    }

    /// The key that a token calls `kid`.
    pub(super) async fn key(&self, kid: Option<&str>) -> Result<Jwk, KeyError> {
        // One request, however many wait for its answer here.
        let mut known = self.known.lock().await;
        if let Some((keys, at)) = &known.keys
            && at.elapsed() < FRESH
            && let Some(key) = choose(keys, kid)
        {
            return Ok(key);
        }
        if known.asked.as_ref().is_none_or(|(at, _)| at.elapsed() >= REST) {
            let answer = self.ask().await;
            known.asked = Some((Instant::now(), answer.as_ref().map(|_| ()).map_err(Clone::clone)));
            match answer {
                Ok(keys) => known.keys = Some((keys, Instant::now())),
                Err(error) => tracing::warn!(issuer.url = self.config.issuer, %error, "{error}"),
            }
        }
        let usable = known.keys.as_ref().filter(|(_, at)| at.elapsed() < USABLE);
        match (usable.and_then(|(keys, _)| choose(keys, kid)), &known.asked) {
            (Some(key), _) => Ok(key),
            (None, Some((_, Err(error)))) => Err(error.clone()),
            (None, _) => {
                Err(KeyError::Unknown { issuer: self.config.issuer.clone(), kid: kid.map(ToOwned::to_owned) })
            }
        }
    }

    async fn ask(&self) -> Result<JwkSet, KeyError> {
        let keys_url = match &self.config.keys_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        self.document(keys_url).await
    }

    async fn discover(&self) -> Result<Url, KeyError> {
        let mut url = self.config.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([".well-known", "openid-configuration"]);
        }
        let found: Discovered = self.document(url).await?;
        if found.issuer != self.config.issuer {
            return Err(self.unavailable(format!("its discovery document is that of `{}`", found.issuer)));
        }
        if found.jwks_uri.origin() != self.config.url.origin() {
            let reason =
                format!("they are said to be at `{}`, another host; `keys_url` allows it", found.jwks_uri);
            return Err(self.unavailable(reason));
        }
        Ok(found.jwks_uri)
    }

    async fn document<T: DeserializeOwned>(&self, url: Url) -> Result<T, KeyError> {
        let failed = |error: reqwest::Error| self.unavailable(error.without_url());
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(self.unavailable(format!("it answers {}", answer.status().as_u16())));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + piece.len() > MAX_BYTES {
                return Err(self.unavailable(format!("more than {MAX_BYTES} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.unavailable(error))
    }

    fn unavailable(&self, reason: impl std::fmt::Display) -> KeyError {
        KeyError::Unavailable { issuer: self.config.issuer.clone(), reason: reason.to_string() }
    }
}

/// The key of this name; the only one, for a token that names none.
fn choose(keys: &JwkSet, kid: Option<&str>) -> Option<Jwk> {
    let signs = |key: &&Jwk| key.common.public_key_use != Some(PublicKeyUse::Encryption);
    let mut signing = keys.keys.iter().filter(signs);
    if let Some(kid) = kid {
        return signing.find(|key| key.common.key_id.as_deref() == Some(kid)).cloned();
    }
    signing.next().filter(|_| signing.next().is_none()).cloned()
}
