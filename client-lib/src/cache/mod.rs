//! The local store of adapters and base models.
//!
//! ```text
//! <root>/
//!   blobs/<hex>                                    files by content, read-only
//!   partial/<hex>                                  downloads that are not complete
//!   adapters/<registry>/<namespace>/<name>/<version>/   a version's folder: hard links to blobs, and manifest.json
//!   digests/<hex>                                  which of those folders has this manifest
//!   index/<registry>/<namespace>/<name>.json       version lists with their ETag
//!   staging/                                       folders on their way to adapters/
//!   locks/                                         who works on what
//!   backbones.json                                 digests of backbone folders on this machine
//! ```
//!
//! A folder under `adapters/` is complete and verified: it gets there by one
//! rename. Whatever is cut off leaves files in `partial/` only, which the next
//! pull continues.

mod blobs;
mod entries;
mod error;
mod index;
mod lock;
mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
};

use hub_schemas::{AdapterId, Digest, Version};
use url::Url;

pub use entries::Entry;
pub use error::CacheError;
pub use index::KnownIndex;
pub use lock::Lock;
pub use stage::Staged;

/// The local store, seen from one registry.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    registry: Url,
}

impl Cache {
    /// The store at `root`; nothing is created before something is kept.
    pub fn new(root: &Path, registry: &Url) -> Self {
        Self { root: root.to_owned(), registry: registry.clone() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates the folders and checks that a file can be written.
    pub fn check_writable(&self) -> Result<(), CacheError> {
        let folder = self.folder("staging")?;
        tempfile::tempfile_in(&folder).map(drop).map_err(CacheError::write(&folder))
    }

    /// Bytes that the store takes up, downloads in progress included.
    pub fn size(&self) -> Result<u64, CacheError> {
        let blobs = bytes_in(&self.root.join("blobs"))?;
        Ok(blobs + bytes_in(&self.root.join("partial"))?)
    }

    /// A folder of the store, created when it is not there.
    fn folder(&self, name: &str) -> Result<PathBuf, CacheError> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder).map_err(CacheError::write(&folder))?;
        Ok(folder)
    }

    /// The part of the store that belongs to this registry: two may know different adapters by one name.
    fn registry_key(&self) -> String {
        let url = self.registry.as_str().trim_end_matches('/');
        let host = self.registry.host_str().unwrap_or("registry");
        let plain: String =
            host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let port = self.registry.port_or_known_default().unwrap_or_default();
        format!("{plain}-{port}-{}", &Digest::of(url.as_bytes()).hex()[..8])
    }

    fn versions_folder(&self, id: &AdapterId) -> PathBuf {
        let base = self.root.join("adapters").join(self.registry_key());
        base.join(id.namespace.as_str()).join(id.name.as_str())
    }

    fn version_folder(&self, id: &AdapterId, version: &Version) -> PathBuf {
        self.versions_folder(id).join(version.to_string())
    }

    fn pointer(&self, digest: &Digest) -> PathBuf {
        self.root.join("digests").join(digest.hex())
    }
}

fn bytes_in(folder: &Path) -> Result<u64, CacheError> {
    let mut total = 0;
    for item in list(folder)? {
        total += item.metadata().map_or(0, |m| if m.is_file() { m.len() } else { 0 });
    }
    Ok(total)
}

/// What lies in a folder; nothing when there is no folder.
fn list(folder: &Path) -> Result<Vec<fs::DirEntry>, CacheError> {
    match fs::read_dir(folder) {
        Ok(items) => items.collect::<Result<_, _>>().map_err(CacheError::read(folder)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(CacheError::read(folder)(source)),
    }
}

#[cfg(test)]
mod tests;
