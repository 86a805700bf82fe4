//! Objects of a store across a network, passed on in little memory.
//!
//! A connection to the store holds up to 400 KiB that its reader has not taken yet (hyper's read
//! buffer), so a thousand downloads with one each could hold 400 MiB. Here a few downloads stream
//! as fast as the store answers; while those are under way, the others fetch a small piece at a
//! time, with connections they share. A reader who takes nothing holds no more than his piece.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, path::Path};
use tokio::sync::{Semaphore, TryAcquireError};

use super::StorageError;

/// Downloads that have a connection of their own for as long as they last.
const STREAMS: usize = 64;
/// Pieces that are fetched at a time for all the others.
const FETCHES: usize = 32;
/// Bytes of a piece: about what the system itself holds of a connection that nobody reads.
const PIECE: u64 = 64 << 10;

type Pieces = BoxStream<'static, Result<Bytes, StorageError>>;

/// What all downloads of a process share.
#[derive(Debug, Clone)]
pub(super) struct Relay {
    streams: Arc<Semaphore>,
    fetches: Arc<Semaphore>,
}

impl Default for Relay {
    fn default() -> Self {
        Self::new(STREAMS)
    }
}

/// An object that is fetched piece by piece.
struct Fetching {
    store: Arc<dyn ObjectStore>,
    path: Path,
    left: Range<u64>,
    fetches: Arc<Semaphore>,
}

impl Relay {
    /// With `streams` downloads that have a connection of their own.
    pub(super) fn new(streams: usize) -> Self {
        Self { streams: Arc::new(Semaphore::new(streams)), fetches: Arc::new(Semaphore::new(FETCHES)) }
    }

    /// The bytes of `range`, or all of them.
    pub(super) async fn get(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: Path,
        range: Option<Range<u64>>,
    ) -> Result<Pieces, StorageError> {
        let own = match Arc::clone(&self.streams).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                let left = match range {
                    Some(range) => range,
                    None => 0..store.head(&path).await?.size,
                };
                let fetching =
                    Fetching { store: Arc::clone(store), path, left, fetches: Arc::clone(&self.fetches) };
                return fetching.begin().await;
            }
        };
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let pieces = store.get_opts(&path, options).await?.into_stream();
        let pieces = pieces.map_err(StorageError::from).inspect(move |_| {
            let _held = &own;
        });
        Ok(pieces.boxed())
    }
}

impl Fetching {
    /// The first piece is fetched before there is an answer: an object that is not there has none.
    async fn begin(mut self) -> Result<Pieces, StorageError> {
        let first = self.next().await?;
        let rest = stream::try_unfold(self, async |mut fetching| {
            Ok(fetching.next().await?.map(|piece| (piece, fetching)))
        });
        Ok(stream::iter(first.map(Ok)).chain(rest).boxed())
    }

    /// The next piece, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let Range { start, end } = self.left;
        if start >= end {
            return Ok(None);
        }
        let to = end.min(start + PIECE);
        // Never closed: without a permit the piece would be fetched all the same.
        let _turn = self.fetches.acquire().await;
        let piece = self.store.get_range(&self.path, start..to).await?;
        if piece.len() as u64 != to - start {
            let message = format!("bytes {start} to {to} of an object are {} bytes", piece.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message).into());
        }
        self.left.start = to;
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use object_store::{PutPayload, memory::InMemory};

    use super::*;

    const LENGTH: u64 = 3 * PIECE + 77;

    async fn store() -> (Arc<dyn ObjectStore>, Path, Vec<u8>) {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let content: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
        let path = Path::from("object");
        store.put(&path, PutPayload::from(content.clone())).await.expect("writes");
        (store, path, content)
    }

    #[tokio::test]
    async fn with_and_without_a_connection_of_its_own_every_range_comes_whole_and_in_order() {
        let (store, path, content) = store().await;
        for streams in [0, 1] {
            let relay = Relay::new(streams);
            for range in [0..LENGTH, 5..6, PIECE - 1..PIECE * 2 + 3, LENGTH - 1..LENGTH] {
                let pieces = relay.get(&store, path.clone(), Some(range.clone())).await.expect("opens");
                let found: Vec<Bytes> = pieces.try_collect().await.expect("reads");
                let (start, end) = (range.start as usize, range.end as usize);
                assert!(found.concat() == content[start..end], "{range:?} of {streams}");
            }
            let missing = relay.get(&store, Path::from("other"), Some(0..5)).await;
            assert!(matches!(missing, Err(StorageError::NotFound(_))), "{streams}");
        }
    }

    #[tokio::test]
    async fn readers_who_take_nothing_keep_nobody_waiting() {
        let (store, path, content) = store().await;
        let relay = Relay::new(2);
        let open = || relay.get(&store, path.clone(), None);
        let idle = join_all((0..2 * FETCHES).map(|_| open())).await;
        let found: Vec<Bytes> = open().await.expect("opens").try_collect().await.expect("reads");
        assert!(found.concat() == content);
        assert_eq!(relay.streams.available_permits(), 0);
        drop(idle);
        assert_eq!(relay.streams.available_permits(), 2, "a connection is free when its reader is gone");
    }

    #[tokio::test]
    async fn an_object_that_lost_its_end_is_no_whole_object() {
        let (store, path, _) = store().await;
        let pieces = Relay::new(0).get(&store, path, Some(0..LENGTH + 1)).await.expect("opens");
        assert!(pieces.try_collect::<Vec<_>>().await.is_err());
    }
}
