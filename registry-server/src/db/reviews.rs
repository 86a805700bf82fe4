//! `blob_reviews`: blobs that may be garbage, kept by triggers.

use hub_schemas::digest::Digest;

use super::{Db, WriteTx, blobs, parse};
use crate::storage::Key;

/// A blob that may be garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Review {
    /// The blob.
    pub(crate) digest: Digest,
    queued_at: i64,
}

/// At most `limit` reviews that were queued before `before`, the oldest first.
pub(crate) async fn due(db: &Db, before: i64, limit: i64) -> Result<Vec<Review>, sqlx::Error> {
    let sql = "SELECT digest, queued_at FROM blob_reviews WHERE queued_at < $1
               ORDER BY queued_at, digest LIMIT $2";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(before).bind(limit).fetch_all(db.read()).await?;
    rows.iter()
        .map(|(digest, queued_at)| {
            Ok(Review { digest: parse("blob_reviews.digest", digest)?, queued_at: *queued_at })
        })
        .collect()
}

/// Looks at a blob again, with its row locked: forgets it when nothing refers to it,
/// and gives back where its bytes lie.
pub(crate) async fn settle(tx: &mut WriteTx, review: &Review) -> Result<Option<Key>, sqlx::Error> {
    blobs::lock(tx, &review.digest).await?;
    let gone = blobs::forget(tx, &review.digest).await?;
    // Queued anew since: that review comes when its own time has passed.
    sqlx::query("DELETE FROM blob_reviews WHERE digest = $1 AND queued_at = $2")
        .bind(review.digest.to_string())
        .bind(review.queued_at)
        .execute(tx.connection())
        .await?;
    Ok(gone)
}

/// Queues reviews anew that were queued after a date; how many.
pub(crate) async fn bring_back(tx: &mut WriteTx, beyond: i64, now: i64) -> Result<u64, sqlx::Error> {
    let sql = "UPDATE blob_reviews SET queued_at = $1 WHERE queued_at > $2";
    let done = sqlx::query(sql).bind(now).bind(beyond).execute(tx.connection()).await?;
    Ok(done.rows_affected())
}
