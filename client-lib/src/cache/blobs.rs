//! Files by content.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hub_schemas::Digest;

use super::{Cache, CacheError};
use crate::files::sync_folder;

impl Cache {
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs").join(digest.hex())
    }

    /// Whether the store has the file. Its bytes were verified when it was kept.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.blob_path(digest)).is_ok_and(|m| m.is_file() && m.len() == size)
    }

    /// Where a download of this file grows.
    pub fn partial_path(&self, digest: &Digest) -> Result<PathBuf, CacheError> {
        Ok(self.folder("partial")?.join(digest.hex()))
    }

    /// Keeps a complete, verified and flushed download.
    pub fn keep_blob(&self, digest: &Digest) -> Result<(), CacheError> {
        let partial = self.partial_path(digest)?;
        let folder = self.folder("blobs")?;
        let path = self.blob_path(digest);
        fs::rename(&partial, &path).map_err(CacheError::write(&path))?;
        // Only now: a read-only partial file could not be continued.
        make_read_only(&path).map_err(CacheError::write(&path))?;
        sync_folder(&folder);
        Ok(())
    }

    /// Puts the file into a folder: as a hard link, or where that can't be as a copy.
    pub(super) fn place_blob(&self, digest: &Digest, at: &Path) -> Result<(), CacheError> {
        if let Some(folder) = at.parent() {
            fs::create_dir_all(folder).map_err(CacheError::write(folder))?;
        }
        let blob = self.blob_path(digest);
        fs::hard_link(&blob, at).or_else(|_| fs::copy(&blob, at).map(drop)).map_err(CacheError::write(at))
    }

    pub(super) fn remove_blob(&self, digest: &Digest) -> Result<u64, CacheError> {
        let path = self.blob_path(digest);
        let Ok(size) = fs::metadata(&path).map(|m| m.len()) else { return Ok(0) };
        match fs::remove_file(&path) {
            Ok(()) => Ok(size),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(CacheError::remove(&path)(source)),
        }
    }
}

/// Hard links share their bytes: an editor that writes in place would change every adapter with this file.
fn make_read_only(path: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions)
}
