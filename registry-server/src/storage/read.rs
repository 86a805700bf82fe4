//! Local files in pieces that are worth a system call.
//!
//! `object_store` reads a local file in pieces of 8 KiB, each on a thread of the pool: of a
//! gibibyte's way to the network that would be most. Here pieces are larger, the next one is read
//! while the last one is sent, and all downloads together share an amount of memory.

use std::{
    fs::File,
    io,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use rustix::{
    buffer::spare_capacity,
    io::{pread, retry_on_intr},
};
use tokio::task::{JoinHandle, spawn_blocking};

use super::StorageError;

/// Memory for the pieces of all downloads of this process, twice: one is read while one is sent.
const BUDGET: usize = 8 << 20;
const LARGEST: usize = 512 << 10;
const SMALLEST: usize = 8 << 10;

/// Bytes of the pieces that are being read.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A piece's part of the budget, for as long as it is read.
struct Share(usize);

impl Share {
    /// A part of what is free: large pieces for a few downloads, small ones for many. Were it one over their number,
    /// those that begin together would take several times the budget.
    fn take(left: u64) -> Self {
        let free = BUDGET.saturating_sub(HELD.load(Ordering::Relaxed));
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let piece = (free / 4).clamp(SMALLEST, LARGEST).min(left);
        HELD.fetch_add(piece, Ordering::Relaxed);
        Self(piece)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A file that is read from front to back.
struct Reading {
    next: Option<JoinHandle<io::Result<(File, Bytes)>>>,
    /// What is not read yet.
    left: Range<u64>,
    share: Option<Share>,
}

impl Reading {
    fn begin(mut self, file: File) -> Self {
        // What the last piece held is free before the next one is taken.
        self.share = None;
        let share = Share::take(self.left.end - self.left.start);
        let (start, piece) = (self.left.start, share.0);
        self.share = Some(share);
        self.left.start += piece as u64;
        self.next = (piece > 0)
            .then(|| spawn_blocking(move || read_at(&file, start, piece).map(|bytes| (file, bytes))));
        self
    }
}

/// So many bytes of a file, from `start` on. Their memory is not cleared before: of a long pull that would be a pass
/// more over all of it.
fn read_at(file: &File, start: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = start + bytes.len() as u64;
        if retry_on_intr(|| pread(file, spare_capacity(&mut bytes), at))? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    // There may have been room for more.
    bytes.truncate(len);
    Ok(Bytes::from(bytes))
}

/// The bytes of `range`.
pub(super) fn pieces(file: File, range: Range<u64>) -> BoxStream<'static, Result<Bytes, StorageError>> {
    let left = range.start..range.end.max(range.start);
    let reading = Reading { next: None, left, share: None }.begin(file);
    stream::try_unfold(reading, async |mut reading| {
        let Some(next) = reading.next.take() else { return Ok(None) };
        let (file, bytes) = next.await.map_err(|e| StorageError::from(io::Error::other(e)))??;
        Ok(Some((bytes, reading.begin(file))))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn every_range_of_a_file_comes_whole_and_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..LARGEST * 2 + 77).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).expect("writes");
        for range in [0..content.len(), 5..6, 7..7, LARGEST - 1..LARGEST * 2 + 3] {
            let file = File::open(&path).expect("opens");
            let found: Vec<Bytes> =
                pieces(file, range.start as u64..range.end as u64).try_collect().await.expect("reads");
            assert!(found.concat() == content[range.clone()], "{range:?}");
        }
        let file = File::open(&path).expect("opens");
        let beyond = pieces(file, 0..content.len() as u64 + 1).try_collect::<Vec<_>>().await;
        assert!(beyond.is_err(), "a file that lost its end is no whole file");
    }
}
