//! Identity tokens (OpenID Connect) of CI systems, and of the identity providers of people: whose they are,
//! and whether they hold.
//!
//! Only issuers that the operator named are asked for keys, at an address of theirs or one that
//! the operator named too, without redirects: nobody who sends a token makes this server reach
//! anything else.

mod issuer;
mod ring;
mod token;

use std::sync::{Arc, OnceLock};

use hub_schemas::api;
use jsonwebtoken::crypto::CryptoProvider;

use crate::config::{IssuerConfig, LoginConfig};

use issuer::Issuer;
pub(crate) use issuer::KeyError;
pub(crate) use token::{Identity, TokenError};

/// The issuers whose tokens are taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Issuers(Vec<Arc<Issuer>>);

/// The identity providers by whose word people log in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logins {
    /// Their keys, and the audience of each: the client that people log in with.
    pub(crate) issuers: Issuers,
    /// What the settings say of each.
    pub(crate) providers: Vec<LoginConfig>,
}

impl Logins {
    pub(crate) fn new(configs: &[LoginConfig]) -> Result<Self, reqwest::Error> {
        let issuers: Vec<_> = configs.iter().map(|config| config.issuer.clone()).collect();
        Ok(Self { issuers: Issuers::new(&issuers)?, providers: configs.to_vec() })
    }

    /// What anybody may know of them.
    pub(crate) fn listed(&self) -> Vec<api::LoginProvider> {
        let listed = |login: &LoginConfig| api::LoginProvider {
            issuer: login.issuer.issuer.clone(),
            client_id: login.issuer.audience.clone(),
            scopes: login.scopes.clone(),
        };
        self.providers.iter().map(listed).collect()
    }
}

impl Issuers {
    pub(crate) fn new(configs: &[IssuerConfig]) -> Result<Self, reqwest::Error> {
        static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
        // Fails when it is there already.
        let _ = PROVIDER.get_or_init(ring::provider).install_default();
        configs
            .iter()
            .map(|config| Issuer::new(config.clone()).map(Arc::new))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What anybody may know of them.
    pub(crate) fn listed(&self) -> Vec<api::Issuer> {
        let listed = |issuer: &Arc<Issuer>| api::Issuer {
            issuer: issuer.config.issuer.clone(),
            audience: issuer.config.audience.clone(),
        };
        self.0.iter().map(listed).collect()
    }

    /// Whether tokens of `issuer` are taken.
    pub(crate) fn has(&self, issuer: &str) -> bool {
        self.find(issuer).is_some()
    }

    fn find(&self, issuer: &str) -> Option<&Arc<Issuer>> {
        self.0.iter().find(|known| known.config.issuer == issuer)
    }
}
