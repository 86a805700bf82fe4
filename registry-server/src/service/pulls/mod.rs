//! Counting pulls without making them wait, and without losing them.
//!
//! A pull is a line at the end of a journal, a file of this process alone, and a number in
//! memory. Every few seconds the numbers go into the database, together with the
//! journal's name, in one transaction; then the file is removed. What a killed process
//! left is counted by the next one that starts on the folder: a journal whose name the
//! database has was counted before. The system keeps what was written when a process is
//! killed; a power cut can take the pulls of the last seconds.

mod journal;

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hub_schemas::digest::Digest;
use time::OffsetDateTime;

use self::journal::Journal;
use crate::db::{
    Db,
    pulls::{self, Counts},
};

/// Pulls that are not in the database yet.
#[derive(Debug)]
pub(crate) struct PullCounter {
    folder: PathBuf,
    // A std mutex: it is held for one short write, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Batch,
    /// Full ones that the database did not take yet.
    waiting: Vec<Batch>,
    /// Whether the log says that no journal can be written.
    told: bool,
}

/// What goes into the database at once.
#[derive(Debug)]
struct Batch {
    id: String,
    counts: Counts,
    /// `None` before the first pull, and where no file can be written.
    journal: Option<Journal>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { id: crate::db::new_id(), counts: Counts::new(), journal: None }
    }
}

impl PullCounter {
    /// A counter whose journals lie in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, state: Mutex::default() }
    }

    /// Counts a pull of the version with this manifest.
    pub(crate) fn add(&self, manifest: Digest) {
        let day = pulls::day_of(OffsetDateTime::now_utc());
        let mut state = self.lock();
        let written = state.open.write(&self.folder, &manifest, day);
        *state.open.counts.entry((manifest, day)).or_default() += 1;
        match written {
            Err(error) if !state.told => {
                state.told = true;
                let folder = self.folder.display();
                tracing::warn!(%error, "Pulls are counted in memory only, `{folder}` can't be written: {error}");
            }
            Err(_) => {}
            Ok(()) => state.told = false,
        }
    }

    /// Brings the counts into the database; what it does not take is kept.
    pub(crate) async fn flush(&self, db: &Db) -> Result<(), sqlx::Error> {
        {
            let mut state = self.lock();
            if !state.open.counts.is_empty() {
                let full = mem::take(&mut state.open);
                state.waiting.push(full);
            }
        }
        loop {
            let Some(batch) = self.lock().waiting.pop() else { return Ok(()) };
            if let Err(error) = count(db, &batch.id, &batch.counts).await {
                self.lock().waiting.push(batch);
                return Err(error);
            }
            if let Some(journal) = batch.journal {
                forget(db, &batch.id, &journal.into_path()).await?;
            }
        }
    }

    /// Counts what killed processes left in the folder. Journals of living ones are locked.
    pub(crate) async fn recover(&self, db: &Db) -> Result<u64, sqlx::Error> {
        let mut found = 0;
        for (id, path) in journal::left_in(&self.folder) {
            let Some(counts) = journal::read(&path) else { continue };
            if count(db, &id, &counts).await? {
                found += counts.values().sum::<u64>();
            }
            forget(db, &id, &path).await?;
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn write(&mut self, folder: &Path, manifest: &Digest, day: i64) -> io::Result<()> {
        match &mut self.journal {
            Some(journal) => journal.write(manifest, day),
            // Only before the first count: a journal is whole, or it is not there.
            None if self.counts.is_empty() => {
                let mut journal = Journal::create(folder, &self.id)?;
                let written = journal.write(manifest, day);
                self.journal = Some(journal);
                written
            }
            None => Err(io::Error::other("it could not be begun")),
        }
    }
}

/// Adds counts once, however often it is tried; `false` when that was done before.
async fn count(db: &Db, id: &str, counts: &Counts) -> Result<bool, sqlx::Error> {
    let mut tx = db.write().await?;
    let new = pulls::add(&mut tx, id, counts).await?;
    tx.commit().await?;
    Ok(new)
}

/// Removes a journal that was counted, then its name.
async fn forget(db: &Db, id: &str, path: &Path) -> Result<(), sqlx::Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Ok(()),
        _ => {}
    }
    let mut tx = db.write().await?;
    pulls::forget(&mut tx, id).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests;
