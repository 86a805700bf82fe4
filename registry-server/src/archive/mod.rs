//! A whole registry in a folder: to move it to another database and another storage,
//! and to keep a copy of it.
//!
//! ```text
//! export.json             what is in here; written last
//! tables/<table>.jsonl    every row, one JSON array a line, its columns in the first
//! blobs/sha256/ab/<hex>   every file, by its digest
//! ```
//!
//! Every file is hashed on its way out and on its way in. A second export into the
//! same folder copies only the files that are new. Uploads that are under way, jobs
//! and search words are not part of it: the last are made anew.

mod export;
mod import;
mod schema;

use std::{collections::BTreeMap, path::PathBuf};

use hub_schemas::digest::Digest;
use serde::{Deserialize, Serialize};

pub(crate) use export::export;
pub(crate) use import::import;

use crate::storage::StorageError;

const FORMAT: u32 = 1;
const INDEX: &str = "export.json";

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    format: u32,
    /// The migrations of the database that it came from.
    migrations: Vec<i64>,
    /// Rows by table.
    tables: BTreeMap<String, u64>,
    /// How many files.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a registry can't be exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The storage, or the folder's files.
    #[error("{0}")]
    Storage(String),
    /// A file of the folder.
    #[error("can't use `{path}`: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Bytes with another digest.
    #[error("the file {expected} has the digest {found}: it is damaged, and nothing was imported")]
    Damaged {
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The database is of another version.
    #[error("the folder was exported by another version of the server; export it again with this one")]
    OtherVersion,
    /// The database has rows.
    #[error("the database is not empty; import into a new one")]
    NotEmpty,
}

impl From<StorageError> for ArchiveError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error.to_string())
    }
}
