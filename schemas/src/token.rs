//! Access tokens: what they may do and how they look.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token is allowed to do. A token has at least one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// See and pull what the user can see.
    Read,
    /// Publish new adapters and new versions.
    Publish,
    /// Yank and un-yank versions.
    Yank,
}

impl Scope {
    /// Every scope, in order.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Yank];

    /// The name as it is written in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Yank => "yank",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not one of the scopes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope; the scopes are `read`, `publish` and `yank`")]
pub struct ScopeError(pub String);

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| ScopeError(text.to_owned()))
    }
}

/// Every token starts so, for people and secret scanners to recognise it.
pub const TOKEN_PREFIX: &str = "hubt_";
