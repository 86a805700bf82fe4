//! The manifest: everything a version states about itself: [`Manifest`] for adapters,
//! [`BaseManifest`] for base models, [`Artifact`] for whichever it is.
//!
//! A manifest is canonical JSON and its SHA-256 is the identity of the version.
//! It holds no time stamps and no machine names, so training the same data with
//! the same seed gives the same manifest. Fields this version does not know are
//! kept in `extra`; a major version it does not know is refused.

mod artifact;
mod base;
mod base_manifest;
mod content;
mod error;
mod file;
mod kind;
mod origin;
mod recipe;
mod rules;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use artifact::Artifact;
pub use base::BaseModel;
pub use base_manifest::{BASE_TASK, BaseManifest};
pub use content::content_digest;
pub use error::ManifestError;
pub use file::{FileEntry, MAX_FILE_BYTES, MAX_FILES, MediaType};
pub use kind::{ArtifactKind, ArtifactKindError};
pub use origin::{Origin, OriginSource};
pub use recipe::{DataSource, Metric, TrainingRecipe};

use crate::{
    canonical,
    digest::Digest,
    head::Head,
    label::{Language, License, TaskId},
    layout::Format,
    method::Method,
    name::AdapterId,
    version::{Version, VersionReq},
};

/// The manifest format that this version writes.
pub const MANIFEST_VERSION: &str = "1.0";
/// The major manifest version that this version reads.
pub const MANIFEST_MAJOR: u64 = 1;
/// Largest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// Name of the manifest in an adapter folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// An adapter version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// Format of this document, `major.minor`.
    pub manifest_version: String,
    /// Full name.
    pub name: AdapterId,
    /// Semantic version.
    pub version: Version,
    /// One or two sentences for a listing.
    #[serde(default)]
    pub description: String,
    /// Licence of the weights.
    pub license: License,
    /// What it is for.
    pub task: Task,
    /// Languages of the data it was trained on.
    #[serde(default)]
    pub languages: Vec<Language>,
    /// The backbone it belongs to.
    pub base: BaseModel,
    /// How it changes that backbone.
    pub method: Method,
    /// What it predicts with, when it brings a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Whose file layout the weights have.
    pub format: Format,
    /// Where implementations of the method differ: what these weights mean.
    #[serde(default)]
    pub semantics: Semantics,
    /// Other adapters it needs.
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
    /// How it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecipe>,
    /// What it was made of, where it was not trained but computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// How well it does.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// Every file, the manifest itself excepted.
    pub files: Vec<FileEntry>,
    /// Fields of later minor versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What an adapter is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// The task, as people type it after `hub pull`.
    pub name: TaskId,
    /// A narrower one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtask: Option<TaskId>,
    /// Names of the head's outputs, in order.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Choices on which implementations of one method differ. Absent means: does not apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Semantics {
    /// A gate averages over which positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gating_mean: Option<GatingMean>,
    /// Whose arithmetic holds where it is composed with others; by default that of the blocks' definitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composition: Option<CompositionRules>,
    /// The queries of learned tokens see padding, as in `adapters` since 1.3.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prompts_see_padding: bool,
    /// Segments (`token_type_ids`) count as none, as PEFT's wrapper for question answering drops them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops_segments: bool,
    /// A decoder sees its prefixes as far as the masks of `adapters` 1.3.0 show them: not at all beside padding, and
    /// a token not all of them where torch makes the mask.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masks_prefixes: bool,
    /// What changes the table that encoder and decoder share changes nothing, as where PEFT wraps a module `shared` that
    /// neither of them reads through.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_shared_table: bool,
    /// Flags of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Which positions a learned gate averages over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GatingMean {
    /// Every position, padding included, as `adapters` computes it.
    AllPositions,
    /// Only tokens, so that a prediction does not depend on its batch.
    Tokens,
}

/// Whose arithmetic holds in a composition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CompositionRules {
    /// That of `adapters`: `Average` divides weighted values by their number once more, stacked
    /// low-rank updates are fed to each other.
    Adapters,
}

/// Another adapter that this one needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dependency {
    /// Which adapter.
    pub name: AdapterId,
    /// Which versions.
    pub version: VersionReq,
    /// Fields of later versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Manifest {
    /// Reads a manifest: canonical bytes, a known major version, well-formed
    /// fields, and fields that agree with each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::from_value(document(bytes)?)
    }

    /// Like [`parse`](Self::parse), for a manifest that a person may have edited or indented.
    pub fn parse_relaxed(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { bytes: bytes.len() });
        }
        Self::from_value(serde_json::from_slice(bytes).map_err(canonical::CanonicalError::from)?)
    }

    fn from_value(value: Value) -> Result<Self, ManifestError> {
        check_major(&value)?;
        let kind = artifact::kind_of(&value)?;
        if !kind.is_adapter() {
            return Err(ManifestError::OtherKind { found: kind });
        }
        let manifest: Self = fields(value)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The canonical bytes: what is stored, sent and hashed.
    pub fn to_canonical_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(canonical::to_bytes(self)?)
    }

    /// The identity of this version.
    pub fn digest(&self) -> Result<Digest, ManifestError> {
        self.to_canonical_bytes().map(|bytes| Digest::of(&bytes))
    }

    /// Bytes of all files together.
    pub fn total_size(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// The entry of the file at `path`.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|f| f.path.as_str() == path)
    }

    /// The metric that rankings compare: the first one stated.
    pub fn headline_metric(&self) -> Option<&Metric> {
        self.metrics.first()
    }

    /// Checks what the types alone can't: that the fields agree with each other.
    pub fn validate(&self) -> Result<(), ManifestError> {
        rules::check(self)
    }
}

/// A document of a manifest's size in its canonical form.
fn document(bytes: &[u8]) -> Result<Value, ManifestError> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { bytes: bytes.len() });
    }
    Ok(canonical::parse(bytes)?)
}

/// The fields of a manifest of either kind; what does not fit is named.
fn fields<T: DeserializeOwned>(value: Value) -> Result<T, ManifestError> {
    serde_path_to_error::deserialize(value)
        .map_err(|e| ManifestError::Field { field: e.path().to_string(), reason: e.inner().to_string() })
}

fn check_major(value: &Value) -> Result<(), ManifestError> {
    let version = value.get("manifest_version").and_then(Value::as_str).ok_or(ManifestError::NoVersion)?;
    let major = version.split_once('.').and_then(|(major, minor)| {
        minor.parse::<u64>().ok()?;
        major.parse::<u64>().ok()
    });
    match major {
        Some(MANIFEST_MAJOR) => Ok(()),
        Some(_) => Err(ManifestError::UnknownMajor { found: version.to_owned() }),
        None => Err(ManifestError::NoVersion),
    }
}

#[cfg(test)]
mod tests;
