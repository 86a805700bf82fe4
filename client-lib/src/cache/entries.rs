//! The adapters and base models that are there, complete and verified.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use hub_schemas::{
    AdapterId, Digest, Manifest, Version,
    manifest::{Artifact, BaseManifest, MANIFEST_FILE, MAX_MANIFEST_BYTES},
};

use super::{Cache, CacheError, list};
use crate::files::{Access, write_atomic};

/// File beside the namespaces of a registry that says which registry it is.
const REGISTRY_FILE: &str = ".registry";

/// A version in the local store: an adapter's, or with another manifest than [`Manifest`] a base
/// model's or either's.
#[derive(Debug, Clone)]
pub struct Entry<M = Manifest> {
    /// The registry it came from.
    pub registry: Option<String>,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Its folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: M,
}

impl<M> Entry<M> {
    /// When it was pulled.
    pub fn pulled_at(&self) -> Option<SystemTime> {
        fs::metadata(self.folder.join(MANIFEST_FILE)).and_then(|m| m.modified()).ok()
    }
}

impl Entry<Artifact> {
    /// Reads a version's folder. `None` when it is not there, or not whole any more:
    /// then it is pulled again.
    fn read(folder: PathBuf, registry: Option<String>) -> Option<Self> {
        let path = folder.join(MANIFEST_FILE);
        if fs::metadata(&path).ok()?.len() > MAX_MANIFEST_BYTES as u64 {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        let manifest = Artifact::parse(&bytes).ok()?;
        let whole = manifest.files().iter().all(|file| {
            fs::metadata(folder.join(file.path.as_str())).is_ok_and(|m| m.is_file() && m.len() == file.size)
        });
        whole.then(|| Self { registry, digest: Digest::of(&bytes), folder, manifest })
    }

    /// It as an adapter, if it is one.
    pub fn into_adapter(self) -> Option<Entry> {
        let Self { registry, digest, folder, manifest } = self;
        match manifest {
            Artifact::Adapter(manifest) => Some(Entry { registry, digest, folder, manifest: *manifest }),
            Artifact::Base(_) => None,
        }
    }

    /// It as a base model, if it is one.
    pub fn into_base(self) -> Option<Entry<BaseManifest>> {
        let Self { registry, digest, folder, manifest } = self;
        match manifest {
            Artifact::Base(manifest) => Some(Entry { registry, digest, folder, manifest: *manifest }),
            Artifact::Adapter(_) => None,
        }
    }
}

impl Cache {
    /// This version of an adapter or base model of this registry.
    pub fn entry(&self, id: &AdapterId, version: &Version) -> Option<Entry<Artifact>> {
        let entry = Entry::read(self.version_folder(id, version), Some(self.registry.to_string()))?;
        (entry.manifest.name() == id && entry.manifest.version() == version).then_some(entry)
    }

    /// The version whose manifest has this digest, from whichever registry it came.
    pub fn entry_by_digest(&self, digest: &Digest) -> Option<Entry<Artifact>> {
        let relative = fs::read_to_string(self.pointer(digest)).ok()?;
        let relative = Path::new(relative.trim());
        let inside = relative.components().all(|c| matches!(c, std::path::Component::Normal(_)));
        let folder = inside.then(|| self.root().join(relative))?;
        let registry = folder.ancestors().nth(3).and_then(read_registry);
        Entry::read(folder, registry).filter(|entry| entry.digest == *digest)
    }

    /// Every version of an adapter or base model of this registry, newest first.
    pub fn versions(&self, id: &AdapterId) -> Result<Vec<Entry<Artifact>>, CacheError> {
        versions_in(&self.versions_folder(id), Some(self.registry.as_str()))
    }

    /// Every adapter in the store, whichever registry it came from.
    pub fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        Ok(self.everything()?.into_iter().filter_map(Entry::into_adapter).collect())
    }

    /// Every base model in the store, whichever registry it came from.
    pub fn bases(&self) -> Result<Vec<Entry<BaseManifest>>, CacheError> {
        Ok(self.everything()?.into_iter().filter_map(Entry::into_base).collect())
    }

    /// Everything in the store, whichever registry it came from.
    pub fn everything(&self) -> Result<Vec<Entry<Artifact>>, CacheError> {
        let mut entries = Vec::new();
        for registry in list(&self.root().join("adapters"))? {
            let url = read_registry(&registry.path());
            for namespace in folders(&registry.path())? {
                for name in folders(&namespace)? {
                    entries.extend(versions_in(&name, url.as_deref())?);
                }
            }
        }
        entries.sort_by(|a, b| {
            let key = |e: &Entry<Artifact>| {
                (e.manifest.name().clone(), std::cmp::Reverse(e.manifest.version().clone()))
            };
            key(a).cmp(&key(b))
        });
        Ok(entries)
    }

    /// Removes versions and the files that no other version needs; says how many
    /// bytes that freed. The caller holds the lock for removing.
    pub fn remove(&self, entries: &[Entry<Artifact>]) -> Result<u64, CacheError> {
        for entry in entries {
            let pointer = self.pointer(&entry.digest);
            remove_file(&pointer)?;
            fs::remove_dir_all(&entry.folder).map_err(CacheError::remove(&entry.folder))?;
            // Empty folders above it are only litter.
            for folder in entry.folder.ancestors().skip(1).take(2) {
                let _ = fs::remove_dir(folder);
            }
        }
        self.sweep(entries.iter().flat_map(|e| e.manifest.files()).map(|f| f.digest))
    }

    /// Removes those of `digests` that no version needs.
    pub fn sweep(&self, digests: impl IntoIterator<Item = Digest>) -> Result<u64, CacheError> {
        let needed: HashSet<Digest> =
            self.everything()?.iter().flat_map(|e| e.manifest.files()).map(|f| f.digest).collect();
        let mut freed = 0;
        for digest in digests.into_iter().collect::<HashSet<_>>() {
            if !needed.contains(&digest) {
                freed += self.remove_blob(&digest)?;
            }
        }
        Ok(freed)
    }

    /// Removes everything, downloads in progress included.
    pub fn clear(&self) -> Result<u64, CacheError> {
        let freed = self.size()?;
        for name in ["adapters", "digests", "index", "partial", "blobs", "staging"] {
            let folder = self.root().join(name);
            match fs::remove_dir_all(&folder) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(CacheError::remove(&folder)(source)),
            }
        }
        Ok(freed)
    }

    pub(super) fn note_registry(&self) -> Result<(), CacheError> {
        let path = self.root().join("adapters").join(self.registry_key()).join(REGISTRY_FILE);
        if path.exists() {
            return Ok(());
        }
        write_atomic(&path, self.registry.as_str().as_bytes(), Access::Everyone)
            .map_err(CacheError::write(&path))
    }
}

/// The versions in an adapter's folder, newest first.
fn versions_in(folder: &Path, registry: Option<&str>) -> Result<Vec<Entry<Artifact>>, CacheError> {
    let items = list(folder)?;
    let read = |item: &fs::DirEntry| Entry::read(item.path(), registry.map(ToOwned::to_owned));
    let mut entries: Vec<_> = items.iter().filter_map(read).collect();
    entries.sort_by(|a, b| b.manifest.version().cmp(a.manifest.version()));
    Ok(entries)
}

fn read_registry(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(REGISTRY_FILE)).ok()
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let items = list(folder)?;
    Ok(items.iter().filter(|i| i.file_type().is_ok_and(|t| t.is_dir())).map(fs::DirEntry::path).collect())
}

fn remove_file(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(CacheError::remove(path)(e)),
        _ => Ok(()),
    }
}
