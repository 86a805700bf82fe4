//! Moving files: streamed, hashed on the way, continued where they stopped.
//!
//! There is no total time limit: a large file on a slow line takes as long as it
//! takes. A transfer is given up when no byte moved for [`STALL_AFTER`].

mod download;
mod resume;
mod stall;
mod upload;

use std::time::Duration;

use hub_schemas::{AdapterId, Digest, manifest::ArtifactKind};

/// No byte for so long means that none will come: shorter trips over proxies that scan a file first.
pub(super) const STALL_AFTER: Duration = Duration::from_secs(30);
/// Bytes that are uploaded in one request: most adapters are sent in one, which a registry on local files writes down
/// once, and proxies that keep a request until it is whole do not keep much. Of a request that breaks off the registry
/// keeps what came, on S3 nothing.
pub const CHUNK_BYTES: u64 = 16 << 20;

/// How much of a file had to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Every byte.
    All,
    /// What an upload that was cut off lacked.
    Rest,
    /// None: the registry has it.
    Nothing,
}

/// A file of an adapter.
#[derive(Debug, Clone, Copy)]
pub struct Blob<'a> {
    /// Whose file it is.
    pub adapter: &'a AdapterId,
    /// Its name there, for messages.
    pub name: &'a str,
    /// Its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it is part of.
    pub kind: ArtifactKind,
}
