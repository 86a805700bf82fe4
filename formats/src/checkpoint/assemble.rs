//! From a folder to the manifest that describes it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use hub_schemas::{
    AdapterId, Digest, DigestHasher, FilePath, Manifest, Version,
    backbone::BackboneShape,
    label::{Language, License, TaskId},
    manifest::{
        BaseModel, Dependency, FileEntry, MANIFEST_FILE, MANIFEST_VERSION, MediaType, Metric, Origin, Task,
        TrainingRecipe,
    },
    path::MAX_PATH_DEPTH,
};
use serde_json::Map;

use super::{AdapterFolder, CheckpointError, weights::is_pickled, whole_model};

/// What a folder can't tell about itself.
#[derive(Debug, Clone)]
pub struct ManifestFacts {
    /// Full name.
    pub name: AdapterId,
    /// Version.
    pub version: Version,
    /// What it is for.
    pub task: TaskId,
    /// A narrower task.
    pub subtask: Option<TaskId>,
    /// Names of the head's outputs; the folder's own when empty.
    pub labels: Vec<String>,
    /// Languages of the data.
    pub languages: Vec<Language>,
    /// Licence of the weights.
    pub license: License,
    /// One or two sentences.
    pub description: String,
    /// How well it does.
    pub metrics: Vec<Metric>,
    /// How it was trained.
    pub training: Option<TrainingRecipe>,
    /// What it was made of, where it was not trained.
    pub origin: Option<Origin>,
    /// Other adapters it needs.
    pub dependencies: Vec<Dependency>,
}

/// States what `folder` holds. Every publishable file is hashed; checked as strictly as the registry does.
pub fn assemble_manifest(
    folder: &AdapterFolder,
    base: &BaseModel,
    facts: ManifestFacts,
) -> Result<Manifest, CheckpointError> {
    assemble(folder, base, facts, || file_entries(&folder.path))
}

/// The same of files that were hashed before: of weights the folder needs no more than their headers.
pub fn assemble_listed(
    folder: &AdapterFolder,
    base: &BaseModel,
    facts: ManifestFacts,
    files: Vec<FileEntry>,
) -> Result<Manifest, CheckpointError> {
    assemble(folder, base, facts, || Ok(files))
}

fn assemble(
    folder: &AdapterFolder,
    base: &BaseModel,
    facts: ManifestFacts,
    files: impl FnOnce() -> Result<Vec<FileEntry>, CheckpointError>,
) -> Result<Manifest, CheckpointError> {
    folder.refuse_pickled(&base.shape)?;
    // Fails where the weights do not fit this backbone: better here than at the registry.
    folder.check_fit(&base.shape)?;
    let labels = if facts.labels.is_empty() { folder.labels.clone() } else { facts.labels };
    let manifest = Manifest {
        manifest_version: MANIFEST_VERSION.to_owned(),
        name: facts.name,
        version: facts.version,
        description: facts.description,
        license: facts.license,
        task: Task { name: facts.task, subtask: facts.subtask, labels, extra: Map::new() },
        languages: facts.languages,
        base: base.clone(),
        method: folder.method.clone(),
        head: folder.head.clone(),
        format: folder.format,
        semantics: if facts.training.is_some() { folder.own_semantics() } else { folder.semantics() },
        dependencies: facts.dependencies,
        training: facts.training,
        origin: facts.origin,
        metrics: facts.metrics,
        files: files()?,
        extra: Map::new(),
    };
    manifest
        .validate()
        .map_err(|source| CheckpointError::Manifest { path: folder.path.join(MANIFEST_FILE), source })?;
    Ok(manifest)
}

impl AdapterFolder {
    /// Weights that Python would run are read here and converted, but not passed on.
    fn refuse_pickled(&self, shape: &BackboneShape) -> Result<(), CheckpointError> {
        let paths = self.layout(shape)?.into_iter().map(|file| self.path.join(file.path));
        match paths.into_iter().find(|path| is_pickled(path)) {
            Some(path) => Err(CheckpointError::PublishesPickle { path }),
            None => Ok(()),
        }
    }

    /// Compares the headers of the weight files with what the backbone's dimensions demand.
    pub fn check_fit(&self, shape: &BackboneShape) -> Result<(), CheckpointError> {
        for layout in self.layout(shape)? {
            let mut file = super::TensorFile::open_renamed(&self.path.join(layout.path))?;
            let beside = self.take_beside(&mut file, &layout);
            whole_model::refuse(&file, &beside)?;
            layout
                .check(&file.header)
                .map_err(|source| CheckpointError::Misfit { folder: self.path.clone(), source })?;
        }
        Ok(())
    }
}

/// Every publishable file of `dir` with size and digest, sorted by path. Left out
/// are the manifest, hidden files, and kinds that are never published.
pub fn file_entries(dir: &Path) -> Result<Vec<FileEntry>, CheckpointError> {
    publishable(dir)?.into_iter().map(|path| file_entry(dir, path)).collect()
}

/// The same files with their sizes: none is read.
pub fn file_sizes(dir: &Path) -> Result<BTreeMap<FilePath, u64>, CheckpointError> {
    let size = |path: FilePath| {
        let file = dir.join(path.as_str());
        let found = fs::metadata(&file).map_err(CheckpointError::read(&file))?;
        Ok((path, found.len()))
    };
    publishable(dir)?.into_iter().map(size).collect()
}

fn publishable(dir: &Path) -> Result<Vec<FilePath>, CheckpointError> {
    let mut paths = Vec::new();
    collect(dir, dir, 1, &mut paths)?;
    paths.sort();
    Ok(paths)
}

fn collect(root: &Path, dir: &Path, depth: usize, paths: &mut Vec<FilePath>) -> Result<(), CheckpointError> {
    for item in fs::read_dir(dir).map_err(CheckpointError::read(dir))? {
        let item = item.map_err(CheckpointError::read(dir))?;
        let kind = item.file_type().map_err(CheckpointError::read(dir))?;
        let hidden = item.file_name().to_string_lossy().starts_with('.');
        if hidden {
            continue;
        }
        if kind.is_dir() && depth < MAX_PATH_DEPTH {
            collect(root, &item.path(), depth + 1, paths)?;
        }
        // A link could point outside the folder: only what lies in it is published.
        if !kind.is_file() {
            continue;
        }
        let relative = relative(root, &item.path());
        let kept = relative.parse::<FilePath>();
        match kept {
            Ok(path) if path.as_str() == MANIFEST_FILE || MediaType::of(&path).is_none() => {}
            Ok(path) => paths.push(path),
            Err(source) => return Err(CheckpointError::Path { folder: root.to_owned(), source }),
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let parts: PathBuf = path.strip_prefix(root).unwrap_or(path).to_owned();
    parts.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// One publishable file of `dir` with size and digest.
pub fn file_entry(dir: &Path, path: FilePath) -> Result<FileEntry, CheckpointError> {
    let (size, digest) = size_and_digest(&dir.join(path.as_str()))?;
    let media_type = MediaType::of(&path).unwrap_or(MediaType::Text);
    Ok(FileEntry { size, digest, media_type, path, extra: Map::new() })
}

/// Reads a file piece by piece.
pub(super) fn size_and_digest(path: &Path) -> Result<(u64, Digest), CheckpointError> {
    let mut file = File::open(path).map_err(CheckpointError::read(path))?;
    let mut hasher = DigestHasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(CheckpointError::read(path))? {
            0 => return Ok((hasher.len(), hasher.finish())),
            n => hasher.update(&buffer[..n]),
        }
    }
}
