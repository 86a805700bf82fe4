//! Version lists with the ETag that lets the registry say "still right".

use std::{fs, path::PathBuf};

use hub_schemas::{AdapterId, api::IndexDocument};
use serde::{Deserialize, Serialize};

use super::{Cache, CacheError};
use crate::files::{Access, write_atomic};

/// A version list as it was last seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownIndex {
    /// Names this state of the list.
    #[serde(default)]
    pub etag: Option<String>,
    /// The list.
    pub document: IndexDocument,
}

impl Cache {
    fn index_path(&self, id: &AdapterId) -> PathBuf {
        let folder = self.root().join("index").join(self.registry_key()).join(id.namespace.as_str());
        folder.join(format!("{}.json", id.name))
    }

    /// The version list of an adapter as it was last seen. A damaged one counts as unknown.
    pub fn known_index(&self, id: &AdapterId) -> Option<KnownIndex> {
        let known: KnownIndex = serde_json::from_slice(&fs::read(self.index_path(id)).ok()?).ok()?;
        (known.document.name == *id).then_some(known)
    }

    /// Keeps a version list.
    pub fn keep_index(&self, index: &KnownIndex) -> Result<(), CacheError> {
        let path = self.index_path(&index.document.name);
        let bytes =
            serde_json::to_vec(index).map_err(std::io::Error::from).map_err(CacheError::write(&path))?;
        write_atomic(&path, &bytes, Access::Everyone).map_err(CacheError::write(&path))
    }

    /// Forgets the version list of an adapter that is not there any more.
    pub fn forget_index(&self, id: &AdapterId) {
        // Not there is what is wanted.
        let _ = fs::remove_file(self.index_path(id));
    }
}
