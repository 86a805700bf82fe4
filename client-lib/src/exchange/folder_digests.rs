//! Digests of backbone folders, remembered.
//!
//! Hashing a backbone takes a second per gigabyte or so; looking at the names,
//! sizes and times of its files takes none. As long as those are the same, so is
//! the digest.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use hub_formats::{
    architectures::View,
    checkpoint::{BaseFolder, CheckpointError},
};
use hub_schemas::Digest;
use serde::{Deserialize, Serialize};

use crate::files::{Access, write_atomic};

const FILE: &str = "backbones.json";

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    digest: String,
    files: Vec<(String, u64, u64)>,
}

/// Digests of backbone folders, remembered in a file.
#[derive(Debug)]
pub struct FolderDigests {
    path: PathBuf,
    known: BTreeMap<String, Known>,
}

impl FolderDigests {
    /// Opens the memory in `folder`. One that can't be read is empty: it only costs time.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(FILE);
        let known =
            fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path, known }
    }

    /// Digest of the weights in `base`.
    pub fn of(&mut self, base: &BaseFolder) -> Result<Digest, CheckpointError> {
        let folder = std::path::absolute(base.path()).unwrap_or_else(|_| base.path().to_owned());
        let mut name = folder.to_string_lossy().into_owned();
        // The encoder alone of the same checkpoint has another digest.
        if base.config().architecture.has_encoder_alone() && base.view() == View::Whole {
            name.push_str(" with its decoder");
        }
        let files = fingerprint(base);
        if let (Some(known), Some(files)) = (self.known.get(&name), &files)
            && known.files == *files
            && let Ok(digest) = known.digest.parse()
        {
            return Ok(digest);
        }
        let digest = base.weights_digest()?;
        if let Some(files) = files {
            self.known.insert(name, Known { digest: digest.to_string(), files });
            self.save();
        }
        Ok(digest)
    }

    /// A memory that can't be written only costs time.
    fn save(&self) {
        if let Ok(bytes) = serde_json::to_vec_pretty(&self.known) {
            let _ = write_atomic(&self.path, &bytes, Access::Everyone);
        }
    }
}

/// Name, size and time of every weights file, and of the configuration that says what is read from them.
fn fingerprint(base: &BaseFolder) -> Option<Vec<(String, u64, u64)>> {
    let config = base.path().join("config.json");
    let config = (!base.is_quantised()).then_some(config.as_path());
    let paths = base.files().iter().map(hub_formats::checkpoint::TensorFile::path);
    paths
        .chain(config)
        .map(|path| {
            let metadata = fs::metadata(path).ok()?;
            let since = metadata.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some((name, metadata.len(), u64::try_from(since.as_nanos()).ok()?))
        })
        .collect()
}
