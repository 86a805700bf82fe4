//! Which versions of a namespace are deleted by rule.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{name::AdapterId, version::Version, whole};

/// What is deleted by rule. A rule that is not set deletes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionRules {
    /// Pre-releases older than so many days are deleted …
    #[serde(default, deserialize_with = "whole::option", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36500)]
    pub prerelease_days: Option<u32>,
    /// … but never the newest so many of an adapter.
    #[schema(maximum = 10000)]
    #[serde(default, deserialize_with = "whole::number", skip_serializing_if = "is_zero")]
    pub keep_prereleases: u32,
    /// Versions that have been yanked for so many days are deleted.
    #[serde(default, deserialize_with = "whole::option", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 36500)]
    pub yanked_days: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A version that the rules of its namespace delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Expired {
    /// Which adapter or base model.
    pub name: AdapterId,
    /// Which version.
    pub version: Version,
    /// Which rule, in a sentence.
    pub reason: String,
    /// Why it stays all the same: somebody needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// What the rules of a namespace would delete now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionPreview {
    /// The rules.
    pub rules: RetentionRules,
    /// By name and version.
    pub expired: Vec<Expired>,
}
