//! What a manifest must be, before its files are looked at.

use std::collections::BTreeMap;

use hub_schemas::{
    digest::Digest,
    manifest::{FileEntry, Manifest, ManifestError},
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
pub fn manifest_for(bytes: &[u8], id: &AdapterId, version: &Version) -> Result<Manifest, PublishError> {
    let manifest = Manifest::parse(bytes)?;
    if manifest.name != *id || manifest.version != *version {
        return Err(PublishError::OtherAddress {
            manifest: format!("{}@{}", manifest.name, manifest.version),
            url: format!("{id}@{version}"),
        });
    }
    match manifest.dependencies.iter().find(|d| d.name == *id) {
        Some(_) => Err(PublishError::OwnDependency(id.clone())),
        None => Ok(manifest),
    }
}

/// Refuses what is larger than this registry takes.
pub fn check_limits(manifest: &Manifest, limits: &Limits) -> Result<(), PublishError> {
    for file in &manifest.files {
        check_file_size(&format!("`{}`", file.path), file.size, limits)?;
    }
    let (bytes, max) = (manifest.total_size(), limits.max_version_bytes);
    if bytes > max {
        return Err(PublishError::TooLarge { what: "the version".to_owned(), bytes, max });
    }
    Ok(())
}

/// Refuses a single file that is larger than this registry takes.
pub fn check_file_size(what: &str, bytes: u64, limits: &Limits) -> Result<(), PublishError> {
    let max = limits.max_file_bytes;
    if bytes > max { Err(PublishError::TooLarge { what: what.to_owned(), bytes, max }) } else { Ok(()) }
}

/// Checks that every listed file is among the blobs `present`, with the stated size.
pub fn check_present(manifest: &Manifest, present: &BTreeMap<Digest, u64>) -> Result<(), PublishError> {
    let missing = |f: &&FileEntry| !present.contains_key(&f.digest);
    let missing: Vec<_> =
        manifest.files.iter().filter(missing).map(|f| format!("`{}` ({})", f.path, f.digest)).collect();
    if !missing.is_empty() {
        return Err(PublishError::Missing(missing));
    }
    for file in &manifest.files {
        match present.get(&file.digest) {
            Some(&found) if found != file.size => {
                return Err(PublishError::Size { path: file.path.to_string(), found, stated: file.size });
            }
            _ => {}
        }
    }
    Ok(())
}
