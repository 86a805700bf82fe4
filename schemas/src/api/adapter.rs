//! Adapters and their versions.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::{
    backbone::Architecture,
    digest::Digest,
    label::{Language, License, TaskId},
    manifest::ArtifactKind,
    name::AdapterId,
    version::Version,
};

/// Who may see an adapter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everyone.
    #[default]
    Public,
    /// Every user of the registry; to whoever comes without a token it does not exist.
    Internal,
    /// The members of its namespace and its collaborators; to everyone else it does not exist.
    Private,
}

impl Visibility {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Private => "private",
        }
    }
}

impl std::fmt::Display for Visibility {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a visibility.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a visibility; an adapter is `public`, `internal` or `private`")]
pub struct VisibilityError(pub String);

impl std::str::FromStr for Visibility {
    type Err = VisibilityError;
    fn from_str(text: &str) -> Result<Self, VisibilityError> {
        [Self::Public, Self::Internal, Self::Private]
            .into_iter()
            .find(|v| v.as_str() == text)
            .ok_or_else(|| VisibilityError(text.to_owned()))
    }
}

/// Query of a publish request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PublishQuery {
    /// Visibility of an adapter that does not exist yet; an existing one keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// Answer to a publish request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Which adapter.
    pub name: AdapterId,
    /// Which version.
    pub version: Version,
    /// Digest of its manifest.
    pub digest: Digest,
    /// `false` when the same bytes had been published before.
    pub created: bool,
    /// What the publisher should know, though nothing is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A request to yank a version, or to take that back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct YankRequest {
    /// `true` to yank, `false` to un-yank.
    pub yanked: bool,
    /// Why, in one line; shown to whoever asks for the version.
    #[serde(default)]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub reason: String,
}

/// A request to show or hide an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeVisibility {
    /// From now on.
    pub visibility: Visibility,
}

/// A request to give an adapter another name, perhaps in another namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveAdapter {
    /// Its full name from now on; the old one leads there.
    pub to: AdapterId,
}

/// Why a version, or an adapter, is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeleteQuery {
    /// Why, in one line; shown to whoever looks at the adapter.
    #[param(max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub reason: String,
}

/// What is left of a version that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tombstone {
    /// Its number, which never comes back.
    pub version: Version,
    /// Why it was deleted.
    pub reason: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// A request to take an adapter out of circulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantineRequest {
    /// Why, in one line; shown to whoever may see the adapter.
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub reason: String,
}

/// That an administrator took an adapter out of circulation: nobody gets its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// That a version was yanked: not chosen any more, but still there for whoever names it exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Yank {
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// One version in an adapter's index document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionEntry {
    /// The version.
    pub version: Version,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Bytes of its files together.
    pub size: u64,
    /// The base model it fits.
    pub base: BaseSummary,
    /// Kind of adapter method; `none` for a base model.
    pub method: String,
    /// When it was published; never changes.
    #[serde(with = "time::serde::rfc3339")]
    pub published_at: OffsetDateTime,
    /// The name in its manifest, where the adapter has another one by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_as: Option<AdapterId>,
    /// Set while the version is yanked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<Yank>,
}

/// Everything needed to choose a version: small, cacheable, revalidated by `ETag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IndexDocument {
    /// Which adapter.
    pub name: AdapterId,
    /// What it is; an adapter where this is not said.
    #[serde(default, skip_serializing_if = "ArtifactKind::is_adapter")]
    pub kind: ArtifactKind,
    /// Its versions, newest first.
    pub versions: Vec<VersionEntry>,
}

/// The base model, as far as choosing needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaseSummary {
    /// Its usual name.
    pub id: String,
    /// Which computation it is.
    pub architecture: Architecture,
    /// Digest of its weights.
    pub weights_digest: Digest,
}

/// A metric, as far as comparing needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricSummary {
    /// `accuracy`, `macro_f1`, …
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Data it was measured on.
    pub dataset: String,
    /// `validation` or `test`.
    pub split: String,
}

/// An adapter in a listing, described by its newest version that is not yanked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AdapterSummary {
    /// Full name.
    pub name: AdapterId,
    /// What it is; an adapter where this is not said.
    #[serde(default, skip_serializing_if = "ArtifactKind::is_adapter")]
    pub kind: ArtifactKind,
    /// Newest version.
    pub version: Version,
    /// Digest of its manifest.
    pub digest: Digest,
    /// One or two sentences.
    pub description: String,
    /// What it is for; `base-model` for a base model.
    pub task: TaskId,
    /// A narrower task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtask: Option<TaskId>,
    /// Languages of its data.
    pub languages: Vec<Language>,
    /// Licence of its weights.
    pub license: License,
    /// The base model it fits.
    pub base: BaseSummary,
    /// Kind of adapter method; `none` for a base model.
    pub method: String,
    /// The method with the numbers that set its size.
    pub method_summary: String,
    /// Its headline metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricSummary>,
    /// Bytes of its files together.
    pub size: u64,
    /// Times it was pulled, all versions together.
    pub pulls: u64,
    /// When the newest version was published.
    #[serde(with = "time::serde::rfc3339")]
    pub published_at: OffsetDateTime,
    /// The name in that version's manifest, where the adapter has another one by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_as: Option<AdapterId>,
    /// Who may see it.
    pub visibility: Visibility,
}

/// An adapter with all its versions. `latest` is absent when every version is yanked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AdapterInfo {
    /// Full name.
    pub name: AdapterId,
    /// What it is; an adapter where this is not said.
    #[serde(default, skip_serializing_if = "ArtifactKind::is_adapter")]
    pub kind: ArtifactKind,
    /// The newest version that is not yanked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<AdapterSummary>,
    /// Every version, newest first.
    pub versions: Vec<VersionEntry>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Times it was pulled, all versions together.
    #[serde(default)]
    pub pulls: u64,
    /// Names that it had before, which lead here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_names: Vec<AdapterId>,
    /// Versions that were deleted, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<Tombstone>,
    /// Set while it is out of circulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// What whoever moved or opened it should know, though nothing is wrong; in the answer to that alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
