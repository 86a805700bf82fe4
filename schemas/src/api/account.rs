//! Who is asking, and with which tokens.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    name::{AdapterId, Namespace},
    pattern::NamePattern,
    token::Scope,
};

/// The caller, as the registry sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// User name.
    pub user: Namespace,
    /// Namespaces the user belongs to, their own first.
    pub namespaces: Vec<Namespace>,
    /// Adapters the user collaborates on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<AdapterId>,
    /// Whether the user runs the registry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub administrator: bool,
    /// The token in use.
    pub token: TokenInfo,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The adapters it is limited to, hidden ones and changes; without any it is not limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NamePattern>,
    /// When it stops working.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A token as its owner lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenEntry {
    /// Names it when it is revoked.
    pub id: String,
    /// What it may do, where, and until when.
    #[serde(flatten)]
    pub info: TokenInfo,
    /// Since when it works.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Since when it works no more.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<OffsetDateTime>,
}

/// Longest name of a token, in characters.
pub const MAX_TOKEN_NAME: usize = 64;
/// Most patterns of names that a token is limited to.
pub const MAX_TOKEN_NAMES: usize = 32;

/// A request for a new token. It may do at most what the token of the request may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What to call it: one line of at most 64 characters.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    pub name: String,
    /// What it may do, at least one scope.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// The adapters to limit it to; without any it is not limited.
    #[schema(max_items = 32)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NamePattern>,
    /// When it stops working.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A request for a token by whoever knows a user's password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// The user.
    pub user: Namespace,
    /// Their password.
    pub password: String,
    /// The token that they want.
    pub token: CreateToken,
}

impl std::fmt::Debug for LogIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogIn").field("user", &self.user).field("token", &self.token).finish_non_exhaustive()
    }
}

/// Fewest characters of a password, as NIST SP 800-63B-4 (section 3.1.1.2) has it for passwords
/// that nothing else stands beside.
pub const MIN_PASSWORD_CHARS: usize = 15;
/// Most bytes of a password.
pub const MAX_PASSWORD_BYTES: usize = 256;

/// A request to set or change one's password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// From now on: at least 15 characters, at most 256 bytes.
    #[schema(min_length = 15)]
    pub new: String,
}

impl std::fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangePassword").finish_non_exhaustive()
    }
}

/// A new token, with its secret: the only time it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token.
    pub token: TokenEntry,
    /// What to send as the bearer token.
    pub secret: String,
}
