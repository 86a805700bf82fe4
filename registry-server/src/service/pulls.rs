//! Counting pulls without making them wait: in memory, written down now and then.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hub_schemas::digest::Digest;

use crate::db::{Db, versions};

/// Pulls since the last flush. A killed server loses those; a stopped one does not.
#[derive(Debug, Default)]
pub(crate) struct PullCounter {
    // A std mutex: it is held for one map operation, never across an await.
    counts: Mutex<HashMap<Digest, u64>>,
}

impl PullCounter {
    /// Counts a pull of the version with this manifest.
    pub(crate) fn add(&self, manifest: Digest) {
        *self.lock().entry(manifest).or_default() += 1;
    }

    /// Writes the counts down.
    pub(crate) async fn flush(&self, db: &Db) -> Result<(), sqlx::Error> {
        let counts = mem::take(&mut *self.lock());
        if counts.is_empty() {
            return Ok(());
        }
        let written = write(db, &counts).await;
        if written.is_err() {
            let mut kept = self.lock();
            for (digest, count) in counts {
                *kept.entry(digest).or_default() += count;
            }
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(db: &Db, counts: &HashMap<Digest, u64>) -> Result<(), sqlx::Error> {
    let mut tx = db.write().await?;
    versions::add_pulls(&mut tx, counts).await?;
    tx.commit().await
}
