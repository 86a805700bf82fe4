//! The kinds of artifact that a registry keeps.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a name in the registry stands for. It never changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A small module for a frozen backbone.
    #[default]
    Adapter,
    /// A backbone itself.
    Base,
}

impl ArtifactKind {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::Base => "base",
        }
    }

    /// Whether it is an adapter: what documents say by saying nothing.
    pub fn is_adapter(&self) -> bool {
        *self == Self::Adapter
    }

    /// In a sentence.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Adapter => "an adapter",
            Self::Base => "a base model",
        }
    }
}

impl std::fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a kind of artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of artifact; it is `adapter` or `base`")]
pub struct ArtifactKindError(pub String);

impl std::str::FromStr for ArtifactKind {
    type Err = ArtifactKindError;
    fn from_str(text: &str) -> Result<Self, ArtifactKindError> {
        [Self::Adapter, Self::Base]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| ArtifactKindError(text.to_owned()))
    }
}
