//! Finding the backbone that an adapter belongs to among the folders of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hub_formats::{
    architectures::View,
    checkpoint::{BaseFolder, gguf_at},
};
use hub_schemas::{
    AdapterId, Digest, Version,
    manifest::{BaseManifest, BaseModel},
};

use super::{BaseError, FolderDigests};
use crate::cache::{Cache, Entry};

/// A backbone on this machine.
#[derive(Debug)]
pub struct FoundBase {
    /// The folder, opened.
    pub folder: BaseFolder,
    /// Digest of its weights.
    pub weights_digest: Digest,
    /// Whether it has the weights that were asked for; without a wish it has.
    pub is_right: bool,
}

/// A base model in the local store, whose weights were verified when it was pulled.
#[derive(Debug, Clone)]
pub struct PulledBase {
    /// Its name at the registry.
    pub name: AdapterId,
    /// Its version.
    pub version: Version,
    /// What it is.
    pub model: BaseModel,
    /// Its folder.
    pub folder: PathBuf,
}

impl From<Entry<BaseManifest>> for PulledBase {
    fn from(entry: Entry<BaseManifest>) -> Self {
        let BaseManifest { name, version, base: model, .. } = entry.manifest;
        Self { name, version, model, folder: entry.folder }
    }
}

/// Where to look for backbones.
#[derive(Debug, Clone, Default)]
pub struct BaseSearch {
    /// The one that was named: a folder, or the name of a model in one of the places below.
    pub named: Option<PathBuf>,
    /// Backbone folders, or folders of backbone folders.
    pub folders: Vec<PathBuf>,
    /// Where base models lie that were pulled from a registry: read only where nothing before it is the one.
    pub store: Option<Cache>,
    /// Hugging Face's cache.
    pub hugging_face: Option<PathBuf>,
    /// What is meant of a checkpoint where nothing is wanted.
    pub view: View,
}

/// Whether `text` is meant as a path: it says so, or there is such a folder.
pub fn looks_like_path(text: &str) -> bool {
    let path = Path::new(text);
    path.is_absolute()
        || text.starts_with('.')
        || text.starts_with('~')
        || path.is_dir()
        || gguf_at(path).is_some()
}

impl BaseSearch {
    /// Finds a backbone: the named one, else the one that has the wanted weights.
    /// The named one may have other weights: see [`FoundBase::is_right`].
    pub fn find(
        &self,
        wanted: Option<&BaseModel>,
        digests: &mut FolderDigests,
    ) -> Result<FoundBase, BaseError> {
        let view = wanted.map_or(self.view, |wanted| View::with_decoder(wanted.shape.decoder_layers));
        if let Some(named) = &self.named {
            let folder = BaseFolder::open_as(&self.named_folder(named)?, view)?;
            let weights_digest = digests.of(&folder)?;
            let is_right = wanted.is_none_or(|w| w.weights_digest == weights_digest);
            return Ok(FoundBase { folder, weights_digest, is_right });
        }
        let wanted = wanted.ok_or(BaseError::NotNamed)?;
        if let Some(pulled) = self.pulled_with(&wanted.weights_digest) {
            let folder = BaseFolder::open_as(&pulled.folder, view)?;
            return Ok(FoundBase { folder, weights_digest: wanted.weights_digest, is_right: true });
        }
        let mut candidates = self.candidates();
        // The folder with the right name is nearly always it, and hashing the others takes time.
        candidates.sort_by_key(|folder| !folder_is_called(folder, &wanted.id));
        let looked_at = candidates.len();
        for candidate in candidates {
            let Ok(folder) = BaseFolder::open_as(&candidate, view) else { continue };
            if !folder.has_shape_of(wanted) {
                continue;
            }
            let Ok(weights_digest) = digests.of(&folder) else { continue };
            if weights_digest == wanted.weights_digest {
                return Ok(FoundBase { folder, weights_digest, is_right: true });
            }
        }
        Err(BaseError::NotFound { wanted: Box::new(wanted.clone()), looked_at })
    }

    /// The base models in the store. One that can't be read has none to offer; what needs it says why.
    fn pulled(&self) -> Vec<PulledBase> {
        let bases = self.store.as_ref().and_then(|store| store.bases().ok());
        bases.unwrap_or_default().into_iter().map(PulledBase::from).collect()
    }

    /// The base model in the store with these weights.
    pub fn pulled_with(&self, weights: &Digest) -> Option<PulledBase> {
        self.pulled().into_iter().find(|pulled| pulled.model.weights_digest == *weights)
    }

    /// The folder that a name means.
    fn named_folder(&self, named: &Path) -> Result<PathBuf, BaseError> {
        let text = named.to_string_lossy();
        if looks_like_path(&text) {
            return Ok(named.to_owned());
        }
        let known = self.candidates().into_iter().find(|folder| folder_is_called(folder, &text));
        let is_called = |pulled: &PulledBase| {
            let PulledBase { name, version, model, .. } = pulled;
            name.to_string() == text || format!("{name}@{version}") == text || model.id == text
        };
        // The newest of a name stands first.
        let pulled = || self.pulled().into_iter().find(is_called).map(|pulled| pulled.folder);
        let found = known.or_else(pulled);
        found.ok_or_else(|| BaseError::Unknown { name: text.into_owned() })
    }

    /// Every folder that holds a backbone.
    fn candidates(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in &self.folders {
            if is_backbone(folder) {
                found.push(folder.clone());
            } else {
                found.extend(subfolders(folder).into_iter().filter(|f| is_backbone(f)));
            }
        }
        for model in self.hugging_face.iter().flat_map(|cache| subfolders(cache)) {
            let snapshots = subfolders(&model.join("snapshots"));
            found.extend(snapshots.into_iter().filter(|f| is_backbone(f)));
        }
        found
    }
}

/// Whether `folder` holds a backbone, or is a GGUF file.
pub fn is_backbone(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has("config.json") && (has("model.safetensors") || has("model.safetensors.index.json"))
        || gguf_at(folder).is_some()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<_> = items.flatten().map(|item| item.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Whether `folder` is the home of the model `id`: in Hugging Face's cache, or by its own name.
fn folder_is_called(folder: &Path, id: &str) -> bool {
    let in_cache = format!("models--{}", id.replace('/', "--"));
    let last = id.rsplit('/').next().unwrap_or(id);
    let named = |path: &Path, name: &str| path.file_name().is_some_and(|n| n.to_string_lossy() == *name);
    named(folder, last) || folder.ancestors().any(|parent| named(parent, &in_cache))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_name_in_hugging_faces_cache_and_by_its_folder() {
        let id = "sentence-transformers/all-MiniLM-L6-v2";
        let cached = "hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/abc";
        assert!(folder_is_called(Path::new(cached), id));
        assert!(folder_is_called(Path::new("models/all-MiniLM-L6-v2"), id));
        assert!(!folder_is_called(Path::new("models/bert-base-uncased"), id));
    }

    #[test]
    fn nothing_named_and_nothing_wanted_is_told_so() {
        let memory = tempfile::tempdir().expect("a folder");
        let result = BaseSearch::default().find(None, &mut FolderDigests::open(memory.path()));
        assert!(matches!(result, Err(BaseError::NotNamed)));
    }
}
