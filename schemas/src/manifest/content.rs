//! What an adapter is, apart from what it is called.

use super::{FileEntry, Manifest, MediaType};
use crate::digest::{Digest, DigestHasher};

impl Manifest {
    /// Digest of weights and configuration: the same under every name, version and card.
    pub fn content_digest(&self) -> Digest {
        content_digest(&self.files)
    }
}

/// The SHA-256 of one line `path digest` for each weights and configuration file, by path.
pub fn content_digest(files: &[FileEntry]) -> Digest {
    let matters = |file: &&FileEntry| matches!(file.media_type, MediaType::Safetensors | MediaType::Json);
    let mut files: Vec<&FileEntry> = files.iter().filter(matters).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hasher = DigestHasher::default();
    for file in files {
        hasher.update(format!("{} {}\n", file.path, file.digest).as_bytes());
    }
    hasher.finish()
}
