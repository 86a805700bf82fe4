//! Putting a version's folder in place by one rename.

use std::{fs, path::Path};

use hub_schemas::{
    Digest,
    manifest::{Artifact, MANIFEST_FILE},
};

use super::{Cache, CacheError, Entry};
use crate::files::{Access, sync_folder, write_atomic};

/// A version's folder that is complete but not in place yet; dropped, it goes away.
#[derive(Debug)]
pub struct Staged<'a> {
    cache: &'a Cache,
    manifest: &'a Artifact,
    digest: Digest,
    folder: tempfile::TempDir,
}

impl Cache {
    /// Builds the folder of `manifest`, whose canonical bytes are `bytes`, from files the store has.
    pub fn stage<'a>(&'a self, manifest: &'a Artifact, bytes: &[u8]) -> Result<Staged<'a>, CacheError> {
        let staging = self.folder("staging")?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-", manifest.name().name))
            .tempdir_in(&staging)
            .map_err(CacheError::write(&staging))?;
        for file in manifest.files() {
            self.place_blob(&file.digest, &folder.path().join(file.path.as_str()))?;
        }
        let path = folder.path().join(MANIFEST_FILE);
        write_atomic(&path, bytes, Access::Everyone).map_err(CacheError::write(&path))?;
        Ok(Staged { cache: self, manifest, digest: Digest::of(bytes), folder })
    }
}

impl Staged<'_> {
    /// The folder, to check it before it is put in place.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts the folder in place.
    pub fn commit(self) -> Result<Entry<Artifact>, CacheError> {
        let (cache, manifest) = (self.cache, self.manifest);
        let target = cache.version_folder(manifest.name(), manifest.version());
        let parent = cache.versions_folder(manifest.name());
        fs::create_dir_all(&parent).map_err(CacheError::write(&parent))?;
        // Somebody may have damaged the folder that is there; versions never change.
        if target.exists() {
            fs::remove_dir_all(&target).map_err(CacheError::remove(&target))?;
        }
        make_listable(self.folder.path()).map_err(CacheError::write(self.folder.path()))?;
        fs::rename(self.folder.path(), &target).map_err(CacheError::write(&target))?;
        sync_folder(&parent);
        cache.note_registry()?;
        let pointer = cache.pointer(&self.digest);
        let relative = target.strip_prefix(cache.root()).unwrap_or(&target).to_string_lossy().into_owned();
        write_atomic(&pointer, relative.as_bytes(), Access::Everyone).map_err(CacheError::write(&pointer))?;
        Ok(Entry {
            registry: Some(cache.registry.to_string()),
            digest: self.digest,
            folder: target,
            manifest: manifest.clone(),
        })
    }
}

/// Temporary folders are for their owner only; the store is as readable as the user's other files.
fn make_listable(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
