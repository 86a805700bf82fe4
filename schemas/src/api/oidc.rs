//! Trusted publishing: what identity tokens of CI systems are exchanged for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

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
