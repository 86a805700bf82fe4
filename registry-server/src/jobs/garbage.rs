//! Collecting garbage while everything else goes on.
//!
//! Whenever something stops referring to a blob (or a blob appears that nothing
//! refers to yet), a trigger queues a review of it. When the review is a day old, the
//! blob's row is locked and looked at again; if nothing refers to it, the row goes, and
//! the job that removes the bytes is queued, in one transaction. A publish that lists
//! the blob at that moment waits for the row, and then either finds it or is told that
//! the file is missing. There is no lock on the store, and no moment to wait for.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{DeleteObject, Job, JobError};
use crate::{
    app::App,
    db::{blobs, clock, reviews},
    storage::Key,
};

/// Small steps: each is one short transaction.
const AT_ONCE: i64 = 200;

/// Reviews what is due.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CollectGarbage {}

impl Job for CollectGarbage {
    const KIND: &'static str = "collect-garbage";
    const EVERY: Option<Duration> = Some(Duration::from_mins(10));
    const BY_AGE: bool = true;

    async fn run(self, app: &App) -> Result<(), JobError> {
        let blobs = review(app, app.garbage_delay).await?;
        if blobs > 0 {
            tracing::info!(blobs.count = blobs, "Collected {blobs} blobs that nothing refers to");
        }
        Ok(())
    }
}

/// Settles every review that was queued longer than `delay` ago; how many blobs went.
pub(crate) async fn review(app: &App, delay: Duration) -> Result<u64, JobError> {
    let before = clock::micros(OffsetDateTime::now_utc() - delay);
    let mut gone = 0;
    loop {
        let due = reviews::due(&app.db, before, AT_ONCE).await?;
        if due.is_empty() {
            return Ok(gone);
        }
        for review in &due {
            let mut tx = app.db.write().await?;
            let object = reviews::settle(&mut tx, review).await?;
            if let Some(object) = &object {
                DeleteObject::new(object).enqueue(&mut tx).await?;
            }
            tx.commit().await?;
            gone += u64::from(object.is_some());
            app.telemetry.collected(u64::from(object.is_some()));
        }
    }
}

/// Removes objects that no row knows, which only a killed server leaves: those older
/// than `delay` that are no blob's and belong to no upload.
pub(crate) async fn remove_unknown(app: &App, delay: Duration, dry_run: bool) -> Result<Vec<Key>, JobError> {
    let before = OffsetDateTime::now_utc() - delay;
    let mut unknown = Vec::new();
    let [blobs, uploads] = Key::of_uploads().map(|prefix| app.storage.list(&prefix));
    let mut objects = blobs.chain(uploads);
    while let Some(object) = objects.try_next().await? {
        // Objects of version 0.1.0 have no upload in their key, and rows without a key.
        let Some(upload) = object.key.upload_of() else { continue };
        if object.modified > before || blobs::is_needed(&app.db, &object.key, &upload).await? {
            continue;
        }
        if !dry_run {
            app.storage.delete(&object.key).await?;
        }
        unknown.push(object.key);
    }
    Ok(unknown)
}
