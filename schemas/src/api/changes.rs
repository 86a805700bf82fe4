//! What changed in a registry, in order, for others that follow it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::{name::AdapterId, version::Version};

/// Changes per page unless asked otherwise.
pub const DEFAULT_CHANGES_LIMIT: u32 = 200;
/// Most changes per page.
pub const MAX_CHANGES_LIMIT: u32 = 1000;
/// Most seconds that a request waits for a change.
pub const MAX_CHANGES_WAIT: u32 = 20;

/// Which changes to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuery {
    /// The serial after which to begin: `next` of the previous page, or 0.
    #[serde(default)]
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64, default = 0)]
    pub since: u64,
    /// Changes per page, at most 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Seconds to wait for a change where there is none, at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 20)]
    pub wait: Option<u32>,
}

/// What happened to an adapter or a base model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ChangeKind {
    /// A version was published.
    #[serde(rename = "version.published")]
    VersionPublished,
    /// A version was yanked.
    #[serde(rename = "version.yanked")]
    VersionYanked,
    /// A yank was taken back.
    #[serde(rename = "version.unyanked")]
    VersionUnyanked,
    /// A version was deleted.
    #[serde(rename = "version.deleted")]
    VersionDeleted,
    /// It is seen by others than before.
    #[serde(rename = "adapter.visibility")]
    Visibility,
    /// It has another name now.
    #[serde(rename = "adapter.moved")]
    Moved,
    /// It was deleted.
    #[serde(rename = "adapter.deleted")]
    Deleted,
    /// An administrator took it out of circulation.
    #[serde(rename = "adapter.quarantined")]
    Quarantined,
    /// It is in circulation again.
    #[serde(rename = "adapter.released")]
    Released,
    /// A name that led to it leads nowhere any more.
    #[serde(rename = "name.freed")]
    NameFreed,
    /// Something that only a later server knows; what is there now says what it came to.
    #[serde(other)]
    Unknown,
}

impl ChangeKind {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VersionPublished => "version.published",
            Self::VersionYanked => "version.yanked",
            Self::VersionUnyanked => "version.unyanked",
            Self::VersionDeleted => "version.deleted",
            Self::Visibility => "adapter.visibility",
            Self::Moved => "adapter.moved",
            Self::Deleted => "adapter.deleted",
            Self::Quarantined => "adapter.quarantined",
            Self::Released => "adapter.released",
            Self::NameFreed => "name.freed",
            Self::Unknown => "unknown",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Self {
        const ALL: [ChangeKind; 10] = [
            ChangeKind::VersionPublished,
            ChangeKind::VersionYanked,
            ChangeKind::VersionUnyanked,
            ChangeKind::VersionDeleted,
            ChangeKind::Visibility,
            ChangeKind::Moved,
            ChangeKind::Deleted,
            ChangeKind::Quarantined,
            ChangeKind::Released,
            ChangeKind::NameFreed,
        ];
        ALL.into_iter().find(|kind| kind.as_str() == name).unwrap_or(Self::Unknown)
    }
}

/// One change. It says where to look again, and not what is there: that is for its index document,
/// which whoever may not see it any more does not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its place in the order.
    pub serial: u64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What happened.
    pub kind: ChangeKind,
    /// The name that it had then.
    pub name: AdapterId,
    /// The version, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

/// Changes, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangesPage {
    /// Which registry this is: another one has other serials, so whoever followed begins at 0.
    pub registry: String,
    /// Those that the caller may see.
    pub items: Vec<Change>,
    /// What to ask for next as `since`: nothing up to there is missing here.
    pub next: u64,
    /// Whether there is more already.
    pub more: bool,
}
