//! A manifest of either kind: what a registry stores, moves and lists.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    ArtifactKind, BaseManifest, BaseModel, Dependency, FileEntry, Manifest, ManifestError, check_major,
    document,
};
use crate::{
    canonical,
    digest::Digest,
    label::{Language, License},
    name::AdapterId,
    version::Version,
};

/// The manifest of an adapter or of a base model. A document without `kind` is an adapter's.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Artifact {
    /// An adapter version.
    Adapter(Box<Manifest>),
    /// A version of a base model.
    Base(Box<BaseManifest>),
}

/// The same question to whichever manifest it is.
macro_rules! of_either {
    ($self:expr, $manifest:ident => $answer:expr) => {
        match $self {
            Self::Adapter($manifest) => $answer,
            Self::Base($manifest) => $answer,
        }
    };
}

impl Artifact {
    /// Reads a manifest of either kind as strictly as [`Manifest::parse`] reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let value = document(bytes)?;
        check_major(&value)?;
        Ok(match kind_of(&value)? {
            ArtifactKind::Adapter => Self::Adapter(Box::new(Manifest::from_value(value)?)),
            ArtifactKind::Base => Self::Base(Box::new(BaseManifest::from_value(value)?)),
        })
    }

    /// Which kind it is.
    pub const fn kind(&self) -> ArtifactKind {
        match self {
            Self::Adapter(_) => ArtifactKind::Adapter,
            Self::Base(_) => ArtifactKind::Base,
        }
    }

    /// Full name.
    pub fn name(&self) -> &AdapterId {
        of_either!(self, m => &m.name)
    }

    /// Semantic version.
    pub fn version(&self) -> &Version {
        of_either!(self, m => &m.version)
    }

    /// One or two sentences for a listing.
    pub fn description(&self) -> &str {
        of_either!(self, m => &m.description)
    }

    /// Licence of the weights.
    pub fn license(&self) -> &License {
        of_either!(self, m => &m.license)
    }

    /// Languages.
    pub fn languages(&self) -> &[Language] {
        of_either!(self, m => &m.languages)
    }

    /// The backbone that it is, or belongs to.
    pub fn base(&self) -> &BaseModel {
        of_either!(self, m => &m.base)
    }

    /// Every file, the manifest itself excepted.
    pub fn files(&self) -> &[FileEntry] {
        of_either!(self, m => &m.files)
    }

    /// The entry of the file at `path`.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files().iter().find(|f| f.path.as_str() == path)
    }

    /// Bytes of all files together.
    pub fn total_size(&self) -> u64 {
        self.files().iter().map(|f| f.size).sum()
    }

    /// Other adapters it needs.
    pub fn dependencies(&self) -> &[Dependency] {
        match self {
            Self::Adapter(manifest) => &manifest.dependencies,
            Self::Base(_) => &[],
        }
    }

    /// Kind of adapter method; `none` for a base model.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Adapter(manifest) => manifest.method.kind(),
            Self::Base(_) => "none",
        }
    }

    /// The canonical bytes: what is stored, sent and hashed.
    pub fn to_canonical_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(canonical::to_bytes(self)?)
    }

    /// The identity of this version.
    pub fn digest(&self) -> Result<Digest, ManifestError> {
        self.to_canonical_bytes().map(|bytes| Digest::of(&bytes))
    }

    /// The adapter's manifest, when it is one.
    pub fn into_adapter(self) -> Result<Manifest, ManifestError> {
        match self {
            Self::Adapter(manifest) => Ok(*manifest),
            Self::Base(_) => Err(ManifestError::OtherKind { found: ArtifactKind::Base }),
        }
    }
}

impl From<Manifest> for Artifact {
    fn from(manifest: Manifest) -> Self {
        Self::Adapter(Box::new(manifest))
    }
}

impl From<BaseManifest> for Artifact {
    fn from(manifest: BaseManifest) -> Self {
        Self::Base(Box::new(manifest))
    }
}

/// What `kind` says; an adapter where it is not there.
pub(super) fn kind_of(value: &Value) -> Result<ArtifactKind, ManifestError> {
    match value.get("kind") {
        None => Ok(ArtifactKind::Adapter),
        Some(kind) => serde_json::from_value(kind.clone()).map_err(|_| ManifestError::Field {
            field: "kind".to_owned(),
            reason: format!("{kind} is neither `adapter` nor `base`: update hub to use this"),
        }),
    }
}
