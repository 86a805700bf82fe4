//! What other threads do for a file: hashing, writing, and flushing while more comes.

use std::{
    fs::File,
    io::{self, IoSlice, Write as _},
};

use bytes::Bytes;
use hub_schemas::digest::DigestHasher;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{StorageError, claim::Open};

/// Bytes that are worth a flush of their own while more come.
pub(super) const WORTH_A_FLUSH: usize = 2 << 20;

/// Something that a thread may have for a while.
pub(super) enum Turn<T> {
    Here(T),
    Away(JoinHandle<io::Result<T>>),
    /// It failed there.
    Gone,
}

impl<T: Send + 'static> Turn<T> {
    pub(super) async fn back(&mut self) -> Result<T, StorageError> {
        match std::mem::replace(self, Self::Gone) {
            Self::Here(thing) => Ok(thing),
            Self::Away(work) => finished(work).await,
            Self::Gone => Err(StorageError::Other("a file could not be written before".into())),
        }
    }

    pub(super) fn lend(&mut self, work: impl FnOnce() -> io::Result<T> + Send + 'static) {
        *self = Self::Away(spawn_blocking(work));
    }
}

/// What came and is neither written nor hashed.
#[derive(Clone, Default)]
pub(super) struct Pending {
    pieces: Vec<Bytes>,
    pub(super) size: usize,
}

impl Pending {
    pub(super) fn add(&mut self, piece: Bytes) {
        self.size += piece.len();
        self.pieces.push(piece);
    }

    pub(super) fn hash(&self, mut hasher: DigestHasher) -> DigestHasher {
        self.pieces.iter().for_each(|piece| hasher.update(piece));
        hasher
    }

    pub(super) fn write(&self, file: &mut File) -> io::Result<()> {
        let mut slices: Vec<_> = self.pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = slices.as_mut_slice();
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match file.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A flush of what is written while more comes. Its error counts: the system tells of it once.
#[derive(Default)]
pub(super) struct EarlyFlush {
    pub(super) running: Option<JoinHandle<io::Result<()>>>,
    /// Bytes that were written since the last one began.
    pub(super) written: usize,
}

impl EarlyFlush {
    /// Begins one where enough was written, and none is under way.
    pub(super) async fn tend(&mut self, open: &Open) -> Result<(), StorageError> {
        if self.written < WORTH_A_FLUSH || self.running.as_ref().is_some_and(|work| !work.is_finished()) {
            return Ok(());
        }
        self.end().await?;
        // Without another descriptor everything is flushed in the end.
        let Ok(file) = open.file.try_clone() else { return Ok(()) };
        let claim = open.claim.clone();
        self.running = Some(spawn_blocking(move || {
            let flushed = file.sync_data();
            drop(file);
            drop(claim);
            flushed
        }));
        Ok(())
    }

    /// Waits for the one that is under way; what comes next counts for another one.
    pub(super) async fn end(&mut self) -> Result<(), StorageError> {
        self.written = 0;
        match self.running.take() {
            Some(work) => finished(work).await,
            None => Ok(()),
        }
    }
}

pub(super) async fn finished<T>(work: JoinHandle<io::Result<T>>) -> Result<T, StorageError> {
    Ok(work.await.map_err(io::Error::other)??)
}
