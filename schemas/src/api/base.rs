//! Base models that lie in the registry, by the digest of their weights.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{digest::Digest, name::AdapterId, version::Version};

/// A version of a base model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaseVersion {
    /// Its name in the registry.
    pub name: AdapterId,
    /// The name that its manifest states, where it has another one by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_as: Option<AdapterId>,
    /// The version.
    pub version: Version,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Bytes of its files together.
    pub size: u64,
    /// When it was published.
    #[serde(with = "time::serde::rfc3339")]
    pub published_at: OffsetDateTime,
}

/// Every version of a base model that has certain weights, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaseVersions {
    /// None of them is yanked.
    pub versions: Vec<BaseVersion>,
}
