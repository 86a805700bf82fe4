//! Removing what uploads left behind.
//!
//! Rows go first, objects after: a crash in between leaves an object without a row,
//! never a row without its object.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Job, JobError};
use crate::{
    app::App,
    db::{clock, mirrored, uploads},
    service::upload,
    storage::StorageError,
};

/// Whoever did not continue for a day is not going to.
const KEEP: Duration = Duration::from_hours(24);

/// Forgets uploads that nobody continued, and half-written files.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SweepUploads {}

impl Job for SweepUploads {
    const KIND: &'static str = "sweep-uploads";
    const EVERY: Option<Duration> = Some(Duration::from_hours(1));
    const BY_AGE: bool = true;

    async fn run(self, app: &App) -> Result<(), JobError> {
        let before = clock::micros(OffsetDateTime::now_utc() - KEEP);
        let stale = uploads::stale(&app.db, before).await?;
        for upload in &stale {
            let mut tx = app.db.write().await?;
            let gone = uploads::delete_stale(&mut tx, upload, before).await?;
            tx.commit().await?;
            if gone {
                upload::discard(&app.storage, upload).await?;
            }
        }
        let mut tx = app.db.write().await?;
        mirrored::forget_transfers(&mut tx, before).await?;
        tx.commit().await?;
        let storage = app.storage.clone();
        let halves = tokio::task::spawn_blocking(move || storage.remove_half_written(KEEP)).await;
        let halves = halves.map_err(|e| JobError::Panicked(e.to_string()))?.map_err(StorageError::from)?;
        if !stale.is_empty() || halves > 0 {
            tracing::info!(
                uploads.count = stale.len(),
                files.count = halves,
                "Swept {} stale uploads and {halves} half-written files",
                stale.len(),
            );
        }
        Ok(())
    }
}
