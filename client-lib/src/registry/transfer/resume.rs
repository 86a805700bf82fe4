//! The file that a download grows in.
//!
//! Its bytes may come from an earlier process, so they are hashed again before
//! more are added; what does not fit is thrown away.

use std::path::{Path, PathBuf};

use hub_schemas::{Digest, DigestHasher};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
};

use crate::registry::RegistryError;

const READ_BUFFER: usize = 256 << 10;

/// A file that is not complete yet, with the hash of what it holds.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    hasher: DigestHasher,
}

impl Partial {
    /// Opens or creates the file and hashes what is there, unless it is more than `size`.
    pub(super) async fn open(path: &Path, size: u64) -> Result<Self, RegistryError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).await.map_err(RegistryError::write(path))?;
        let mut partial = Self { path: path.to_owned(), file, hasher: DigestHasher::default() };
        let length = partial.file.metadata().await.map_err(RegistryError::read(path))?.len();
        if length > size {
            partial.clear().await?;
        } else if length > 0 {
            partial.hash_existing().await?;
        }
        Ok(partial)
    }

    async fn hash_existing(&mut self) -> Result<(), RegistryError> {
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            let read = self.file.read(&mut buffer).await.map_err(RegistryError::read(&self.path))?;
            if read == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..read]);
        }
    }

    /// How many bytes are there.
    pub(super) fn len(&self) -> u64 {
        self.hasher.len()
    }

    /// Throws everything away.
    pub(super) async fn clear(&mut self) -> Result<(), RegistryError> {
        self.hasher = DigestHasher::default();
        self.file.set_len(0).await.map_err(RegistryError::write(&self.path))?;
        self.file.rewind().await.map(drop).map_err(RegistryError::write(&self.path))
    }

    /// Adds bytes.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        self.file.write_all(bytes).await.map_err(RegistryError::write(&self.path))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Hands everything to the system, so that a failure to write shows here.
    pub(super) async fn flush(&mut self) -> Result<(), RegistryError> {
        self.file.flush().await.map_err(RegistryError::write(&self.path))
    }

    /// The digest of what is there.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Makes the content survive a power cut.
    pub(super) async fn finish(mut self) -> Result<(), RegistryError> {
        self.flush().await?;
        self.file.sync_all().await.map_err(RegistryError::write(&self.path))
    }
}
