//! Identity tokens: of CI systems, which are exchanged for tokens that publish (trusted publishing), and of
//! identity providers, by whose word people log in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::CreateToken;
use crate::name::{AdapterId, Namespace};

/// Whose identity tokens a registry takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Issuer {
    /// What its tokens have as `iss`.
    pub issuer: String,
    /// What its tokens must have as `aud`.
    pub audience: String,
}

/// Programs that may publish an adapter without a token of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Publisher {
    /// Names it when it is removed.
    pub id: String,
    /// Who signs their identity tokens.
    pub issuer: String,
    /// What each claim must be: a text, or a beginning and `*`.
    pub claims: BTreeMap<String, String>,
    /// Whose rights they have.
    pub created_by: Namespace,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A request to trust programs with publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePublisher {
    /// Who signs their identity tokens: one of the registry's issuers.
    pub issuer: String,
    /// What each claim must be: a text, or a beginning and `*`. `sub` is always among them.
    pub claims: BTreeMap<String, String>,
}

/// A request for a token by whoever has an identity token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeToken {
    /// What is to be published.
    pub adapter: AdapterId,
    /// The identity token, a JWT.
    pub token: String,
}

impl std::fmt::Debug for ExchangeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeToken").field("adapter", &self.adapter).finish_non_exhaustive()
    }
}

/// An identity provider by whose word people log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginProvider {
    /// What its tokens have as `iss`; its discovery document is below it.
    pub issuer: String,
    /// What `hub` is called there: a public client.
    pub client_id: String,
    /// What to ask it for.
    pub scopes: Vec<String>,
}

/// A request for a token by whoever an identity provider says that this is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcLogIn {
    /// The provider's identity token, a JWT.
    pub identity: String,
    /// What it must have as `nonce`, where it was asked for with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The token that they want; it works no longer than the registry allows for this provider.
    pub token: CreateToken,
}

impl std::fmt::Debug for OidcLogIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcLogIn").field("token", &self.token).finish_non_exhaustive()
    }
}

/// A request to let whoever an identity token is about log in as the caller.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIdentity {
    /// The provider's identity token, a JWT.
    pub identity: String,
    /// What it must have as `nonce`, where it was asked for with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

impl std::fmt::Debug for LinkIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkIdentity").finish_non_exhaustive()
    }
}

/// Somebody of an identity provider who logs in as a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkedIdentity {
    /// Names it when it is unlinked.
    pub id: String,
    /// The provider.
    pub issuer: String,
    /// What the provider calls them, for ever.
    pub subject: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub linked_at: OffsetDateTime,
}
