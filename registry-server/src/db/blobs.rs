//! `blobs`: the finished files in the storage. Which adapters hold one is in
//! `version_files` and, before the first publish, in `uploads`.

use std::collections::BTreeMap;

use hub_schemas::{digest::Digest, name::AdapterId};

use super::{Db, WriteTx, adapters::VisibleAdapter, clock::now, parse};

/// Notes that the storage has a blob.
pub(crate) async fn insert(tx: &mut WriteTx, digest: &Digest, size: u64) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO blobs (digest, size, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(digest.to_string()).bind(size as i64).bind(now()).execute(tx.connection()).await?;
    Ok(())
}

/// The size of a blob that a published version of `adapter` lists.
pub(crate) async fn size_in(
    db: &Db,
    adapter: &VisibleAdapter,
    digest: &Digest,
) -> Result<Option<u64>, sqlx::Error> {
    let sql = "SELECT b.size FROM blobs b WHERE b.digest = $1 AND EXISTS (
                   SELECT 1 FROM version_files f JOIN versions v ON v.id = f.version_id
                   WHERE f.digest = b.digest AND v.adapter_id = $2)";
    let found: Option<(i64,)> =
        sqlx::query_as(sql).bind(digest.to_string()).bind(adapter.key()).fetch_optional(db.read()).await?;
    Ok(found.map(|(size,)| size as u64))
}

/// What may be published under `adapter` without uploading it again: blobs of its
/// versions and finished uploads to it. Blobs of other adapters do not count:
/// whoever lists a digest has shown that they have the bytes.
pub(crate) async fn available_to(db: &Db, adapter: &AdapterId) -> Result<BTreeMap<Digest, u64>, sqlx::Error> {
    let sql = "SELECT b.digest, b.size FROM blobs b
               JOIN version_files f ON f.digest = b.digest
               JOIN versions v ON v.id = f.version_id
               JOIN adapters a ON a.id = v.adapter_id
               WHERE a.namespace = $1 AND a.name = $2
               UNION
               SELECT b.digest, b.size FROM blobs b
               JOIN uploads u ON u.digest = b.digest
               WHERE u.namespace = $1 AND u.adapter_name = $2 AND u.completed_at IS NOT NULL";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(adapter.namespace.as_str())
        .bind(adapter.name.as_str())
        .fetch_all(db.read())
        .await?;
    rows.iter().map(|(digest, size)| Ok((parse("blobs.digest", digest)?, *size as u64))).collect()
}

/// Blobs that nothing refers to and that are older than `before`.
pub(crate) async fn orphans(db: &Db, before: i64) -> Result<Vec<Digest>, sqlx::Error> {
    let sql = "SELECT b.digest FROM blobs b WHERE b.created_at < $1
               AND NOT EXISTS (SELECT 1 FROM version_files f WHERE f.digest = b.digest)
               AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.digest = b.digest AND u.completed_at IS NOT NULL)";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(before).fetch_all(db.read()).await?;
    rows.iter().map(|(digest,)| parse("blobs.digest", digest)).collect()
}

/// Forgets a blob unless something refers to it by now.
pub(crate) async fn forget(tx: &mut WriteTx, digest: &Digest) -> Result<bool, sqlx::Error> {
    let sql = "DELETE FROM blobs WHERE digest = $1
               AND NOT EXISTS (SELECT 1 FROM version_files f WHERE f.digest = $1)
               AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.digest = $1 AND u.completed_at IS NOT NULL)";
    let done = sqlx::query(sql).bind(digest.to_string()).execute(tx.connection()).await?;
    Ok(done.rows_affected() > 0)
}
