//! From a backbone's folder to the manifest that describes it in a registry.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hub_schemas::{
    AdapterId, FilePath, Version,
    label::{Language, License},
    manifest::{
        ArtifactKind, BaseManifest, BaseModel, FileEntry, MANIFEST_FILE, MANIFEST_VERSION, MediaType,
    },
};
use serde_json::Map;

use super::{BaseFolder, CheckpointError, assemble::size_and_digest, weights::is_pickled};

/// Largest text beside the weights: a tokenizer of a quarter million words has some 30 MB.
const MAX_TEXT_BYTES: u64 = 256 << 20;

/// What a backbone's folder can't tell about itself.
#[derive(Debug, Clone)]
pub struct BaseFacts {
    /// Full name.
    pub name: AdapterId,
    /// Version.
    pub version: Version,
    /// Licence of the weights.
    pub license: License,
    /// Languages of the data.
    pub languages: Vec<Language>,
    /// One or two sentences.
    pub description: String,
}

/// A base model's manifest, where its files lie, and what lies beside them and is left out.
#[derive(Debug, Clone)]
pub struct AssembledBase {
    /// The manifest.
    pub manifest: BaseManifest,
    /// The folder with its files.
    pub folder: PathBuf,
    /// Names of other files there.
    pub left_out: Vec<String>,
}

/// States what `base` holds: the weights that are read, and beside a folder's the texts at its
/// top. Every file is hashed; checked as strictly as the registry does.
pub fn assemble_base(
    base: &BaseFolder,
    model: BaseModel,
    facts: BaseFacts,
) -> Result<AssembledBase, CheckpointError> {
    let path = base.path();
    if let Some(file) = base.files().iter().find(|file| is_pickled(file.path())) {
        return Err(CheckpointError::Pickle { path: file.path().to_owned() });
    }
    let folder = if base.is_quantised() { path.parent().unwrap_or(path) } else { path }.to_owned();
    let mut names: Vec<String> =
        base.files().iter().filter_map(|file| Some(file.path().file_name()?.to_str()?.to_owned())).collect();
    let mut left_out = Vec::new();
    if !base.is_quantised() {
        for (name, size) in listed(&folder)? {
            let media_type = name.parse().ok().and_then(|path: FilePath| MediaType::of_base(&path));
            let is_text = matches!(media_type, Some(MediaType::Json | MediaType::Text | MediaType::Markdown));
            if is_text && size <= MAX_TEXT_BYTES && name != MANIFEST_FILE {
                names.push(name);
            } else if !names.contains(&name) && name != MANIFEST_FILE {
                left_out.push(name);
            }
        }
    }
    names.sort();
    let files = names.iter().map(|name| entry(&folder, name)).collect::<Result<Vec<_>, _>>()?;
    let manifest = BaseManifest {
        manifest_version: MANIFEST_VERSION.to_owned(),
        kind: ArtifactKind::Base,
        name: facts.name,
        version: facts.version,
        description: facts.description,
        license: facts.license,
        languages: facts.languages,
        base: model,
        files,
        extra: Map::new(),
    };
    manifest.validate().map_err(|source| CheckpointError::Manifest { path: path.to_owned(), source })?;
    Ok(AssembledBase { manifest, folder, left_out })
}

/// Names and sizes of the files at the top of a folder, hidden ones left out. Links are followed:
/// in Hugging Face's cache everything is one.
fn listed(folder: &Path) -> Result<Vec<(String, u64)>, CheckpointError> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).map_err(CheckpointError::read(folder))? {
        let item = item.map_err(CheckpointError::read(folder))?;
        let Ok(name) = item.file_name().into_string() else { continue };
        let metadata = fs::metadata(item.path());
        if let Some(metadata) = metadata.ok().filter(|m| m.is_file() && !name.starts_with('.')) {
            found.push((name, metadata.len()));
        }
    }
    found.sort();
    Ok(found)
}

fn entry(folder: &Path, name: &str) -> Result<FileEntry, CheckpointError> {
    let path: FilePath =
        name.parse().map_err(|source| CheckpointError::Path { folder: folder.to_owned(), source })?;
    let (size, digest) = size_and_digest(&folder.join(name))?;
    let media_type = MediaType::of_base(&path).unwrap_or(MediaType::Text);
    Ok(FileEntry { path, size, digest, media_type, extra: Map::new() })
}

impl BaseFolder {
    /// Whether the configuration is that of `stated`, whatever classifier it states: worth a look before weights are hashed.
    pub fn has_shape_of(&self, stated: &BaseModel) -> bool {
        let config = self.config();
        config.architecture == stated.architecture
            && config.shape.without_classifier() == stated.shape.without_classifier()
    }

    /// Refuses a folder whose configuration or weights are not those that `stated` names.
    pub fn check_is(&self, stated: &BaseModel) -> Result<(), CheckpointError> {
        let differs = |reason: String| CheckpointError::Backbone { path: self.path().to_owned(), reason };
        if !self.has_shape_of(stated) {
            return Err(differs("its configuration is not the one that its manifest states".to_owned()));
        }
        let found = self.weights_digest()?;
        if found != stated.weights_digest {
            let stated = stated.weights_digest;
            return Err(differs(format!(
                "its weights have the digest {found}, its manifest states {stated}"
            )));
        }
        Ok(())
    }
}
