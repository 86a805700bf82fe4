//! What a manifest must be, before its files are looked at.

use std::collections::BTreeMap;

use hub_schemas::{
    digest::Digest,
    manifest::{Artifact, ArtifactKind, FileEntry, ManifestError},
    name::AdapterId,
    version::Version,
};

use super::{content::ContentError, weights::WeightsError};

/// How large things may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One file.
    pub max_file_bytes: u64,
    /// All files of a version together.
    pub max_version_bytes: u64,
    /// All files of a base model's version together, and each of them; 0 where none is taken.
    pub max_base_bytes: u64,
}

impl Limits {
    /// The largest file of a kind of artifact.
    pub fn file(&self, kind: ArtifactKind) -> Result<u64, PublishError> {
        match kind {
            ArtifactKind::Adapter => Ok(self.max_file_bytes),
            ArtifactKind::Base if self.max_base_bytes == 0 => Err(PublishError::NoBases),
            ArtifactKind::Base => Ok(self.max_base_bytes),
        }
    }
}

/// Why a version is refused.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The manifest alone is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest is for another address than the request.
    #[error("the manifest is for `{manifest}`, but it was sent to `{url}`")]
    OtherAddress {
        /// What the manifest says.
        manifest: String,
        /// What the URL says.
        url: String,
    },
    /// A file, or all of them together, is too large.
    #[error("{what} has {bytes} bytes; this registry accepts at most {max}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Base models, where none is taken.
    #[error("this registry takes no base models")]
    NoBases,
    /// A name stands for one kind of artifact.
    #[error("`{name}` is {}; a version of it can't be {}", found.described(), stated.described())]
    OtherKind {
        /// The name.
        name: AdapterId,
        /// What it is.
        found: ArtifactKind,
        /// What was to be published.
        stated: ArtifactKind,
    },
    /// Files that were not uploaded to this adapter.
    #[error("not uploaded to this adapter: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// A file has another size than the manifest states.
    #[error("`{path}` has {found} bytes; the manifest states {stated}")]
    Size {
        /// The file.
        path: String,
        /// Its size.
        found: u64,
        /// The size in the manifest.
        stated: u64,
    },
    /// A dependency that the publisher can't see, or without a fitting version.
    #[error("the dependency `{name}@{requirement}` is not in this registry")]
    Dependency {
        /// Which adapter.
        name: AdapterId,
        /// Which versions would do.
        requirement: String,
    },
    /// An adapter that would need itself.
    #[error("`{0}` lists itself as a dependency")]
    OwnDependency(AdapterId),
    /// A file's content is not what its name says.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A weights file does not fit the manifest.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Reads `bytes` as the manifest of `version` of `id`.
pub fn manifest_for(bytes: &[u8], id: &AdapterId, version: &Version) -> Result<Artifact, PublishError> {
    let manifest = Artifact::parse(bytes)?;
    if manifest.name() != id || manifest.version() != version {
        return Err(PublishError::OtherAddress {
            manifest: format!("{}@{}", manifest.name(), manifest.version()),
            url: format!("{id}@{version}"),
        });
    }
    match manifest.dependencies().iter().find(|d| d.name == *id) {
        Some(_) => Err(PublishError::OwnDependency(id.clone())),
        None => Ok(manifest),
    }
}

/// Refuses what is larger than this registry takes.
pub fn check_limits(manifest: &Artifact, limits: &Limits) -> Result<(), PublishError> {
    let of_file = limits.file(manifest.kind())?;
    let of_version = match manifest.kind() {
        ArtifactKind::Adapter => limits.max_version_bytes,
        ArtifactKind::Base => limits.max_base_bytes,
    };
    for file in manifest.files() {
        check_size(&format!("`{}`", file.path), file.size, of_file)?;
    }
    check_size("the version", manifest.total_size(), of_version)
}

/// Refuses another kind of artifact than the one that the name stands for.
pub fn check_kind(manifest: &Artifact, found: ArtifactKind) -> Result<(), PublishError> {
    let stated = manifest.kind();
    if stated == found {
        return Ok(());
    }
    Err(PublishError::OtherKind { name: manifest.name().clone(), found, stated })
}

/// Refuses what has more than `max` bytes.
pub fn check_size(what: &str, bytes: u64, max: u64) -> Result<(), PublishError> {
    if bytes > max { Err(PublishError::TooLarge { what: what.to_owned(), bytes, max }) } else { Ok(()) }
}

/// Checks that every listed file is among the blobs `present`, with the stated size.
pub fn check_present(files: &[FileEntry], present: &BTreeMap<Digest, u64>) -> Result<(), PublishError> {
    let missing = |f: &&FileEntry| !present.contains_key(&f.digest);
    let missing: Vec<_> =
        files.iter().filter(missing).map(|f| format!("`{}` ({})", f.path, f.digest)).collect();
    if !missing.is_empty() {
        return Err(PublishError::Missing(missing));
    }
    for file in files {
        match present.get(&file.digest) {
            Some(&found) if found != file.size => {
                return Err(PublishError::Size { path: file.path.to_string(), found, stated: file.size });
            }
            _ => {}
        }
    }
    Ok(())
}
