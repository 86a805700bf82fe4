//! Local files in pieces that are worth a system call.
//!
//! `object_store` reads a local file in pieces of 8 KiB, each on a thread of the pool: of a
//! gibibyte's way to the network that would be most. Here pieces are larger, the next one is read
//! while the last one is sent, and all downloads together share an amount of memory.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::task::{JoinHandle, spawn_blocking};

use super::StorageError;

/// Memory for the pieces of all downloads of this process, twice: one is read while one is sent.
const BUDGET: usize = 16 << 20;
const LARGEST: usize = 512 << 10;
const SMALLEST: usize = 8 << 10;

/// How many downloads there are.
static READING: AtomicUsize = AtomicUsize::new(0);

/// One of them, for as long as it lasts.
struct Counted;

impl Counted {
    fn new() -> Self {
        READING.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Large pieces for a few, small ones for many.
    fn piece() -> usize {
        (BUDGET / READING.load(Ordering::Relaxed).max(1)).clamp(SMALLEST, LARGEST)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        READING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A file that is read from front to back.
struct Reading {
    next: Option<JoinHandle<io::Result<(File, Bytes)>>>,
    left: u64,
    _counted: Counted,
}

impl Reading {
    fn begin(mut self, mut file: File, start: Option<u64>) -> Self {
        let piece = usize::try_from(self.left).unwrap_or(usize::MAX).min(Counted::piece());
        self.left -= piece as u64;
        self.next = (piece > 0).then(|| {
            spawn_blocking(move || {
                if let Some(start) = start {
                    file.seek(SeekFrom::Start(start))?;
                }
                let mut bytes = vec![0; piece];
                file.read_exact(&mut bytes)?;
                Ok((file, Bytes::from(bytes)))
            })
        });
        self
    }
}

/// The bytes of `range`.
pub(super) fn pieces(file: File, range: Range<u64>) -> BoxStream<'static, Result<Bytes, StorageError>> {
    let left = range.end.saturating_sub(range.start);
    let reading = Reading { next: None, left, _counted: Counted::new() }.begin(file, Some(range.start));
    stream::try_unfold(reading, async |mut reading| {
        let Some(next) = reading.next.take() else { return Ok(None) };
        let (file, bytes) = next.await.map_err(|e| StorageError::from(io::Error::other(e)))??;
        Ok(Some((bytes, reading.begin(file, None))))
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
