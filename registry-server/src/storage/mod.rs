//! Objects by key, streamed: in local files, or in a store that speaks S3.
//!
//! ```text
//! blobs/sha256/ab/<64 hex digits>/<upload>  finished files, by content
//! uploads/<upload>/<first byte>-<id>        acknowledged parts of unfinished ones
//! uploads/<upload>/<first byte>-<id>.claim  whoever appends to a local one made this
//! manifests/sha256/ab/<64 hex digits>       manifests of this registry's own versions
//! ```
//!
//! An object appears under its key whole or not at all, and survives a power cut
//! once the call that wrote it returned: local files are written beside their
//! place, synced and renamed; S3 shows an object when its last part is confirmed. One
//! that nobody was told of yet may get its name while it is synced, and after a power
//! cut be there in part: no row names it, and it is collected as unknown. A
//! local part may grow: what was acknowledged of it stays, and more may lie behind.

mod error;
mod growing;
mod key;
mod local;
mod multipart;
mod read;
mod relay;
mod s3;
mod write;

use std::{ops::Range, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use hub_schemas::digest::Digest;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, multipart::MultipartStore, signer::Signer,
};
use relay::Relay;
use time::OffsetDateTime;

use crate::trace::Span;

pub(crate) use error::{PutError, StorageError};
pub(crate) use growing::Growing;
pub(crate) use key::Key;
pub(crate) use multipart::{MIN_PART, Multipart, Part};
pub use s3::{Location, LocationError, S3Settings};

/// Bytes gathered before they are written: few system calls, little memory per upload.
const LOCAL_WRITE: usize = 1 << 20;
/// The same for a store across a network, where every write is a request: S3's parts
/// have at least 5 MiB, and 10,000 of these are 78 GiB.
const REMOTE_WRITE: usize = 8 << 20;

/// Where files lie.
#[derive(Clone)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
    /// What every key stands below.
    prefix: object_store::path::Path,
    write_size: usize,
    /// Half-written files lie here; a store across a network shows none.
    root: Option<std::path::PathBuf>,
    /// How downloads share the connections to a store across a network.
    relay: Option<Relay>,
    multipart: Option<Arc<dyn MultipartStore>>,
    signer: Option<Arc<dyn Signer>>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many bytes.
    pub(crate) size: u64,
    /// Their digest.
    pub(crate) digest: Digest,
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its key.
    pub(crate) key: Key,
    /// How many bytes it has.
    pub(crate) size: u64,
    /// When it was written, by the store's clock.
    pub(crate) modified: OffsetDateTime,
}

impl Storage {
    /// Opens what `location` names; local files lie below `folder`.
    pub(crate) fn open(location: &Location, folder: &Path) -> Result<Self, StorageError> {
        match location {
            Location::Files => Self::local(folder),
            Location::S3(settings) => s3::open(settings),
        }
    }

    /// Objects in memory, with the part sizes and multipart uploads of S3.
    #[cfg(test)]
    pub(crate) fn memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Self {
            store: Arc::clone(&store) as Arc<dyn ObjectStore>,
            prefix: object_store::path::Path::default(),
            write_size: REMOTE_WRITE,
            root: None,
            relay: Some(Relay::default()),
            multipart: Some(store),
            signer: None,
        }
    }

    /// The bytes of `range`, or all of them.
    pub(crate) async fn get(
        &self,
        key: &Key,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        if let Some(relay) = &self.relay {
            let span = self.span("GetObject");
            return span.judged(span.around(relay.get(&self.store, self.at(key), range)).await);
        }
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = self.store.get_opts(&self.at(key), options).await?;
        Ok(match found.payload {
            GetResultPayload::File(file, _) => read::pieces(file, found.range),
            GetResultPayload::Stream(pieces) => pieces.map_err(StorageError::from).boxed(),
        })
    }

    /// The first `len` bytes of an object that has as many.
    pub(crate) async fn head(&self, key: &Key, len: u64) -> Result<Bytes, StorageError> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let span = self.span("GetObject");
        Ok(span.judged(self.store.get_range(&self.at(key), 0..len).await)?)
    }

    /// How many bytes an object has.
    pub(crate) async fn size(&self, key: &Key) -> Result<u64, StorageError> {
        let span = self.span("HeadObject");
        Ok(span.judged(self.store.head(&self.at(key)).await)?.size)
    }

    /// Writes a small object unless there is one under this key; `false` when there is.
    pub(crate) async fn create(&self, key: &Key, bytes: Bytes) -> Result<bool, StorageError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let span = self.span("PutObject");
        match span.judged(self.store.put_opts(&self.at(key), PutPayload::from(bytes), options).await) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an object; one that is not there is fine.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        let span = self.span("DeleteObject");
        match span.judged(self.store.delete(&self.at(key)).await) {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Removes every object whose key starts with `prefix`.
    pub(crate) async fn delete_all(&self, prefix: &Key) -> Result<(), StorageError> {
        let mut objects = self.list(prefix);
        while let Some(object) = objects.try_next().await? {
            self.delete(&object.key).await?;
        }
        Ok(())
    }

    /// Every object below `prefix`, in no order.
    pub(crate) fn list(&self, prefix: &Key) -> BoxStream<'static, Result<Listed, StorageError>> {
        let own = self.prefix.clone();
        let listed = move |meta: object_store::ObjectMeta| Listed {
            size: meta.size,
            modified: OffsetDateTime::from_unix_timestamp(meta.last_modified.timestamp())
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            key: Key::of(meta.location.prefix_match(&own).into_iter().flatten().collect()),
        };
        self.store.list(Some(&self.at(prefix))).map_ok(listed).map_err(StorageError::from).boxed()
    }

    /// Where anybody can read an object for `lasting`; `None` where the store has no such addresses.
    pub(crate) async fn read_url(
        &self,
        key: &Key,
        lasting: Duration,
    ) -> Result<Option<String>, StorageError> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let url = signer.signed_url(axum::http::Method::GET, &self.at(key), lasting).await?;
        Ok(Some(url.into()))
    }

    /// A request to the store. Local files are no requests.
    fn span(&self, operation: &'static str) -> Span {
        if self.relay.is_some() { Span::storage(operation) } else { Span::none() }
    }

    fn at(&self, key: &Key) -> object_store::path::Path {
        self.prefix.parts().chain(key.path().parts()).collect()
    }

    /// Whether objects can be read.
    pub(crate) async fn probe_reading(&self) -> Result<(), StorageError> {
        match self.size(&Key::identity()).await {
            Ok(_) | Err(StorageError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether objects can be written and removed.
    pub(crate) async fn probe(&self) -> Result<(), StorageError> {
        let key = Key::probe();
        self.store.put(&self.at(&key), PutPayload::from_static(b"ready?")).await?;
        self.delete(&key).await
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Storage({})", self.store)
    }
}

#[cfg(test)]
mod tests;
