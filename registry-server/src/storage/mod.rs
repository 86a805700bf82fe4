//! Objects by key, streamed. Local files now; another `object_store` back end
//! later, behind the same calls.
//!
//! ```text
//! blobs/sha256/ab/<64 hex digits>     finished files, by content
//! uploads/<upload>/<first byte>-<id>  acknowledged parts of unfinished ones
//! ```
//!
//! An object appears under its key whole or not at all: it is written beside its
//! place, synced, and renamed.

mod error;
mod key;

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use hub_schemas::digest::{Digest, DigestHasher};
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload,
    local::LocalFileSystem,
};

pub(crate) use error::{PutError, StorageError};
pub(crate) use key::Key;

/// Bytes gathered before they are written: few system calls, little memory per upload.
const WRITE_SIZE: usize = 1 << 20;

/// Where files lie.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many bytes.
    pub(crate) size: u64,
    /// Their digest.
    pub(crate) digest: Digest,
}

impl Storage {
    /// Files below `root`, which is made if it is not there.
    pub(crate) fn local(root: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(root).map_err(StorageError::from)?;
        let store = LocalFileSystem::new_with_prefix(root)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), root: root.to_owned() })
    }

    /// Writes `body` under `key` if `accept` agrees with what came; otherwise, and
    /// when `body` fails, nothing is left.
    pub(crate) async fn put<E>(
        &self,
        key: &Key,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        accept: impl FnOnce(&Written) -> Result<(), E>,
    ) -> Result<Written, PutError<E>> {
        let mut upload = self.store.put_multipart(key.path()).await.map_err(StorageError::from)?;
        let written = match write_all(upload.as_mut(), &mut body).await {
            Ok(written) => accept(&written).map(|()| written).map_err(PutError::Body),
            Err(error) => Err(error),
        };
        match written {
            Ok(written) => {
                upload.complete().await.map_err(StorageError::from)?;
                Ok(written)
            }
            Err(error) => {
                // What an abort leaves behind is swept at start-up.
                drop(upload.abort().await);
                Err(error)
            }
        }
    }

    /// The bytes of `range`, or all of them.
    pub(crate) async fn get(
        &self,
        key: &Key,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = self.store.get_opts(key.path(), options).await?;
        Ok(found.into_stream().map_err(StorageError::from).boxed())
    }

    /// The first `len` bytes, or all when there are fewer.
    pub(crate) async fn head(&self, key: &Key, len: u64) -> Result<Bytes, StorageError> {
        let size = self.store.head(key.path()).await?.size;
        match len.min(size) {
            0 => Ok(Bytes::new()),
            len => Ok(self.store.get_range(key.path(), 0..len).await?),
        }
    }

    /// Removes an object; one that is not there is fine.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        match self.store.delete(key.path()).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Removes every object whose key starts with `prefix`.
    pub(crate) async fn delete_all(&self, prefix: &Key) -> Result<(), StorageError> {
        let mut objects = self.store.list(Some(prefix.path()));
        while let Some(object) = objects.try_next().await? {
            self.delete(&Key::of(object.location)).await?;
        }
        Ok(())
    }

    /// Whether objects can be written and removed.
    pub(crate) async fn probe(&self) -> Result<(), StorageError> {
        let key = Key::probe();
        self.store.put(key.path(), PutPayload::from_static(b"ready?")).await?;
        self.delete(&key).await
    }

    /// Removes half-written files that a killed server left and nobody touched for `age`.
    pub(crate) fn remove_half_written(&self, age: Duration) -> io::Result<u64> {
        let Some(before) = SystemTime::now().checked_sub(age) else { return Ok(0) };
        let mut removed = 0;
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if is_half_written(&entry.file_name().to_string_lossy())
                    && entry.metadata()?.modified()? < before
                {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

/// `object_store` writes to `<name>#<number>` before it renames.
fn is_half_written(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

async fn write_all<E>(
    upload: &mut dyn MultipartUpload,
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Written, PutError<E>> {
    let mut hasher = DigestHasher::default();
    let mut pending: Vec<Bytes> = Vec::new();
    let mut pending_len = 0;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(PutError::Body)?;
        hasher.update(&piece);
        pending_len += piece.len();
        pending.push(piece);
        if pending_len >= WRITE_SIZE {
            let part = std::mem::take(&mut pending).into_iter().collect::<PutPayload>();
            upload.put_part(part).await.map_err(StorageError::from)?;
            pending_len = 0;
        }
    }
    if pending_len > 0 {
        upload.put_part(pending.into_iter().collect()).await.map_err(StorageError::from)?;
    }
    Ok(Written { size: hasher.len(), digest: hasher.finish() })
}

#[cfg(test)]
mod tests;
