//! What stands where in a bundle.

use hub_schemas::{AdapterId, Digest, Version, manifest::ArtifactKind};
use serde::{Deserialize, Serialize};

use super::BundleError;

/// The format that this version writes and reads.
pub const BUNDLE_VERSION: u32 = 1;
/// The list of versions: the first member.
pub(super) const INDEX: &str = "bundle.json";
/// Largest list: some ten thousand versions.
pub(super) const MAX_INDEX_BYTES: u64 = 4 << 20;
/// All manifests together, which are held in memory.
pub(super) const MAX_MANIFESTS_BYTES: u64 = 256 << 20;

/// `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleIndex {
    /// The format.
    pub bundle_version: u32,
    /// Every version, what others need before them.
    pub versions: Vec<BundledVersion>,
}

/// A version in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledVersion {
    /// Full name.
    pub name: AdapterId,
    /// The version.
    pub version: Version,
    /// What it is.
    pub kind: ArtifactKind,
    /// Digest of its manifest: what it is trusted by.
    pub digest: Digest,
}

impl BundledVersion {
    /// How to call it in messages.
    pub fn title(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// A member of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// The list of versions.
    Index,
    /// The manifest with this digest.
    Manifest(Digest),
    /// The file with this digest.
    Blob(Digest),
}

impl Member {
    /// Its path in the archive.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Index => INDEX.to_owned(),
            Self::Manifest(digest) => format!("manifests/{}.json", digest.hex()),
            Self::Blob(digest) => format!("blobs/{}", digest.hex()),
        }
    }

    /// What stands under `path`; everything but the three shapes is refused.
    pub(super) fn of(path: &[u8]) -> Result<Self, BundleError> {
        let unknown = || BundleError::UnknownMember(String::from_utf8_lossy(path).escape_debug().to_string());
        let text = std::str::from_utf8(path).map_err(|_| unknown())?;
        let digest = |hex: &str| format!("sha256:{hex}").parse::<Digest>().map_err(|_| unknown());
        let found = if text == INDEX {
            Self::Index
        } else if let Some(hex) = text.strip_prefix("manifests/").and_then(|rest| rest.strip_suffix(".json"))
        {
            Self::Manifest(digest(hex)?)
        } else if let Some(hex) = text.strip_prefix("blobs/") {
            Self::Blob(digest(hex)?)
        } else {
            return Err(unknown());
        };
        // One member, one spelling.
        if found.path() == text { Ok(found) } else { Err(unknown()) }
    }
}
