//! Why a bundle could not be written or was refused.

use std::{io, path::PathBuf};

use hub_formats::checkpoint::CheckpointError;
use hub_schemas::{AdapterId, Digest, Version, manifest::ManifestError};

use crate::cache::CacheError;

/// Why a bundle could not be written or was refused. After a refusal nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file can't be read or written.
    #[error("can't {action} `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is a file already.
    #[error("`{0}` exists")]
    Exists(PathBuf),
    /// Not an archive, or one that ends early.
    #[error("the bundle is damaged, or no bundle: {0}")]
    Archive(io::Error),
    /// Something other than a regular file: a link, a folder, an extension of the format.
    #[error("the bundle holds `{0}`, which is not a plain file")]
    NotAFile(String),
    /// A path that no bundle has.
    #[error("the bundle holds `{0}`, which is no part of a bundle")]
    UnknownMember(String),
    /// The same member twice.
    #[error("the bundle holds `{0}` twice")]
    Repeated(String),
    /// A member where another one should be.
    #[error("the bundle holds `{found}` before `{expected}`")]
    Order {
        /// What stands there.
        found: String,
        /// What must come first.
        expected: String,
    },
    /// More bytes than such a member may have.
    #[error("`{member}` in the bundle has {bytes} bytes; at most {max} are read")]
    TooLarge {
        /// Which.
        member: String,
        /// Its size.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// The list of versions is malformed.
    #[error("`bundle.json` is wrong: {0}")]
    Index(String),
    /// A version that a later format would hold.
    #[error("the bundle has format {0}; this version reads format 1: update hub to import it")]
    UnknownFormat(u32),
    /// A manifest is malformed.
    #[error("the manifest of `{title}` in the bundle is refused: {source}")]
    Manifest {
        /// Which version.
        title: String,
        /// Why.
        source: ManifestError,
    },
    /// A manifest is that of another version.
    #[error("the bundle gives the manifest of `{found}` for `{title}`")]
    OtherVersion {
        /// What `bundle.json` says.
        title: String,
        /// What the manifest says.
        found: String,
    },
    /// Bytes with another digest.
    #[error("`{member}` in the bundle has the digest {found}: it is damaged")]
    Damaged {
        /// Which.
        member: String,
        /// What its bytes have.
        found: Digest,
    },
    /// A file that lies in the cache has changed.
    #[error("`{path}` has the digest {found} instead of {expected}: the cache is damaged")]
    CacheDamaged {
        /// The file.
        path: PathBuf,
        /// What it should have.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// Something listed is not there.
    #[error("the bundle lacks `{0}`")]
    Missing(String),
    /// The cache has other content under the same version.
    #[error("the cache holds `{name}@{version}` with other content ({found}); a version never changes")]
    Conflict {
        /// Which.
        name: AdapterId,
        /// Which version.
        version: Version,
        /// Digest of what the cache holds.
        found: Digest,
    },
    /// Files do not hold what their manifest says.
    #[error("`{title}` in the bundle is refused, its files don't fit its manifest: {source}")]
    Misfit {
        /// Which version.
        title: String,
        /// Why.
        source: Box<CheckpointError>,
    },
    /// The local store could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl BundleError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Io { .. } | Self::UnknownFormat(_) => Vec::new(),
            Self::Exists(_) => vec!["name another file with `--output`, or delete this one".into()],
            Self::CacheDamaged { .. } => {
                vec!["`hub remove` the version it belongs to, and pull it again".into()]
            }
            Self::Conflict { name, version, .. } => {
                vec![format!("`hub remove {name}@{version}` first, if the bundle is the one to trust")]
            }
            Self::Cache(error) => error.hint().into_iter().collect(),
            _ => vec!["nothing was kept; export it again with `hub bundle export` and copy it anew".into()],
        }
    }
}
