//! `hub-server gc`

use std::{collections::BTreeSet, time::Duration};

use hub_schemas::digest::Digest;
use time::OffsetDateTime;

use super::{AdminError, print};
use crate::{
    app::App,
    db::{blobs, clock},
    jobs,
};

/// Removes what nothing refers to now, or only prints it.
///
/// The server does the same by itself; this looks for objects without a row too,
/// which only a killed server leaves.
pub async fn collect_garbage(app: &App, older_than: Duration, dry_run: bool) -> Result<(), AdminError> {
    app.check_identity().await?;
    let before = clock::micros(OffsetDateTime::now_utc() - older_than);
    let garbage = blobs::garbage(&app.db, before).await?;
    let bytes: u64 = garbage.iter().map(|(_, size)| size).sum();
    for (digest, size) in &garbage {
        print(&format!("{digest}\t{size} bytes"))?;
    }
    let failed = |error: jobs::JobError| AdminError::Garbage(error.to_string());
    if !dry_run {
        jobs::review(app, older_than).await.map_err(failed)?;
    }
    let mut objects = jobs::remove_unknown(app, older_than, dry_run).await.map_err(failed)?;
    // Those whose row has just been removed were named with it.
    let named: BTreeSet<Digest> = garbage.iter().map(|(digest, _)| *digest).collect();
    objects.retain(|object| object.digest().is_none_or(|digest| !named.contains(&digest)));
    for object in &objects {
        print(&format!("{object}\twithout a row"))?;
    }
    let would = if dry_run { "Would remove" } else { "Removed" };
    tracing::info!(
        blobs.count = garbage.len(),
        blobs.size_bytes = bytes,
        objects.count = objects.len(),
        "{would} {} files of {bytes} bytes, and {} objects without a row",
        garbage.len(),
        objects.len(),
    );
    Ok(())
}
