//! The manifest of a base model: a backbone that lies in the registry itself, so that whoever
//! pulls an adapter gets what it belongs to from the same place.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    ArtifactKind, BaseModel, FileEntry, ManifestError, MediaType, artifact::kind_of, check_major, fields,
    file::FileLimits, rules,
};
use crate::{
    canonical,
    digest::Digest,
    label::{Language, License},
    name::AdapterId,
    path::FilePath,
    version::Version,
};

/// The task that listings state for a base model.
pub const BASE_TASK: &str = "base-model";
/// Configuration of a backbone's folder.
const CONFIG: &str = "config.json";
/// Its weights, when they are one file.
const SINGLE: &str = "model.safetensors";
/// Which shard has which tensor, when they are several.
const INDEX: &str = "model.safetensors.index.json";

/// Bounds of a base model: shards of 64 GiB, as many as the largest models have.
pub(super) const BASE_LIMITS: FileLimits = FileLimits { files: 256, bytes: 64 << 30 };

/// A version of a base model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BaseManifest {
    /// Format of this document, `major.minor`.
    pub manifest_version: String,
    /// `base`.
    pub kind: ArtifactKind,
    /// Full name.
    pub name: AdapterId,
    /// Semantic version.
    pub version: Version,
    /// One or two sentences for a listing.
    #[serde(default)]
    pub description: String,
    /// Licence of the weights.
    pub license: License,
    /// Languages of the data it was trained on.
    #[serde(default)]
    pub languages: Vec<Language>,
    /// What adapters of it state as their base: its usual name, dimensions and the digest of its weights.
    pub base: BaseModel,
    /// Every file, the manifest itself excepted: a folder in Hugging Face's layout, or one GGUF file.
    pub files: Vec<FileEntry>,
    /// Fields of later minor versions.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl BaseManifest {
    /// Reads a base model's manifest as strictly as [`super::Manifest::parse`] reads an adapter's.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        match super::Artifact::parse(bytes)? {
            super::Artifact::Base(manifest) => Ok(*manifest),
            super::Artifact::Adapter(_) => Err(ManifestError::OtherKind { found: ArtifactKind::Adapter }),
        }
    }

    pub(super) fn from_value(value: Value) -> Result<Self, ManifestError> {
        check_major(&value)?;
        if kind_of(&value)?.is_adapter() {
            return Err(ManifestError::OtherKind { found: ArtifactKind::Adapter });
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

    /// Checks what the types alone can't: that the fields agree with each other.
    pub fn validate(&self) -> Result<(), ManifestError> {
        rules::check_description(&self.description)?;
        rules::check_base_id(&self.base.id)?;
        self.base.shape.validate()?;
        rules::check_file_list(&self.files, BASE_LIMITS, MediaType::of_base)?;
        self.check_layout()
    }

    /// Either a folder or a GGUF file: what loads it must not have to guess.
    fn check_layout(&self) -> Result<(), ManifestError> {
        let has = |path: &str| self.files.iter().any(|f| f.path.as_str() == path);
        let gguf = self.files.iter().filter(|f| f.media_type == MediaType::Gguf).count();
        let weights = self.files.iter().filter(|f| f.media_type == MediaType::Safetensors).count();
        let contradiction = |text: &str| Err(ManifestError::Contradiction(text.to_owned()));
        match (gguf, weights) {
            (1, 0) if !has(CONFIG) => Ok(()),
            (0, 0) => contradiction("a base model needs weights, in safetensors files or in a GGUF file"),
            (0, _) if !has(CONFIG) => contradiction("a folder of a base model needs `config.json`"),
            (0, 1) if has(SINGLE) => Ok(()),
            (0, _) if has(INDEX) && !has(SINGLE) => Ok(()),
            (0, _) => contradiction(
                "the weights of a base model are `model.safetensors`, or shards with `model.safetensors.index.json`",
            ),
            _ => contradiction("a base model is one GGUF file or a folder with `config.json`, not both"),
        }
    }
}

impl MediaType {
    /// The type of a base model's file; `None` where no such file may be published.
    pub fn of_base(path: &FilePath) -> Option<Self> {
        match path.extension().as_deref() {
            Some("gguf") => Some(Self::Gguf),
            // Chat templates.
            Some("jinja") => Some(Self::Text),
            _ => Self::of(path),
        }
    }
}
