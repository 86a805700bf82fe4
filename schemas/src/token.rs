//! Access tokens: what they may do, where, and how they look.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token is allowed to do. A token has at least one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// See and pull what the user can see.
    Read,
    /// Publish adapters that do not exist yet.
    PublishNew,
    /// Publish new versions of adapters that exist.
    PublishUpdate,
    /// Yank and un-yank versions.
    Yank,
    /// Change who may do what (visibility, members, collaborators, tokens), make organisations and
    /// webhooks, move and delete; for the registry's administrators, what is theirs.
    Admin,
}

impl Scope {
    /// Every scope, in order.
    pub const ALL: [Self; 5] = [Self::Read, Self::PublishNew, Self::PublishUpdate, Self::Yank, Self::Admin];

    /// The name as it is written in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::PublishNew => "publish-new",
            Self::PublishUpdate => "publish-update",
            Self::Yank => "yank",
            Self::Admin => "admin",
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
#[error(
    "`{0}` is not a scope; the scopes are `read`, `publish-new`, `publish-update` (both together `publish`), \
     `yank` and `admin`"
)]
pub struct ScopeError(pub String);

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| ScopeError(text.to_owned()))
    }
}

/// Several scopes as they are typed, `read,publish,yank`: in order, each once, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The scopes.
    pub fn as_slice(&self) -> &[Scope] {
        &self.0
    }

    /// The scopes.
    pub fn into_vec(self) -> Vec<Scope> {
        self.0
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let mut scopes = Vec::new();
        for word in text.split(',').map(str::trim) {
            match word {
                "publish" => scopes.extend([Scope::PublishNew, Scope::PublishUpdate]),
                word => scopes.push(word.parse()?),
            }
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self(scopes))
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(","))
    }
}

/// Every token starts so, for people and secret scanners to recognise it.
pub const TOKEN_PREFIX: &str = "hubt_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_is_short_for_both_kinds_of_publishing() {
        let scopes: Scopes = "yank,publish,read,read".parse().expect("scopes");
        assert_eq!(scopes.to_string(), "read,publish-new,publish-update,yank");
        assert_eq!(scopes.to_string().parse(), Ok(scopes));
        for wrong in ["", "read,", "reed", "read;yank"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong}");
        }
    }
}
