//! Removing what uploads left behind, before the server answers requests.
//!
//! Rows go first, objects after: a crash in between leaves an object without a
//! row, which the next sweep or upload of the same content takes care of, never a
//! row without its object.

use std::time::Duration;

use time::OffsetDateTime;

use crate::{
    db::{Db, blobs, clock, uploads},
    service::upload,
    storage::{Storage, StorageError},
};

/// Whoever did not continue for a day is not going to.
const KEEP: Duration = Duration::from_hours(24);

#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

pub(crate) async fn run(db: &Db, storage: &Storage) -> Result<(), SweepError> {
    let before = clock::micros(OffsetDateTime::now_utc() - KEEP);
    let stale = uploads::stale(db, before).await?;
    for upload in &stale {
        let mut tx = db.write().await?;
        uploads::delete(&mut tx, &upload.id).await?;
        tx.commit().await?;
        upload::discard(storage, upload).await?;
    }
    let mut forgotten = 0;
    for digest in blobs::orphans(db, before).await? {
        let mut tx = db.write().await?;
        let gone = blobs::forget(&mut tx, &digest).await?;
        tx.commit().await?;
        if let Some(object) = gone {
            storage.delete(&object).await?;
            forgotten += 1;
        }
    }
    let halves = storage.remove_half_written(KEEP).map_err(StorageError::from)?;
    if !stale.is_empty() || forgotten > 0 || halves > 0 {
        tracing::info!(
            uploads.count = stale.len(),
            blobs.count = forgotten,
            files.count = halves,
            "Swept {} stale uploads, {forgotten} unused blobs and {halves} half-written files",
            stale.len(),
        );
    }
    Ok(())
}
