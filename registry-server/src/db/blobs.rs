//! `blobs`: the finished files in the storage. Which adapters hold one is in
//! `version_files` and, before the first publish, in `uploads`.

use std::collections::BTreeMap;

use hub_schemas::{digest::Digest, manifest::FileEntry, name::AdapterId};
use sqlx::AssertSqlSafe;

use super::{Backend, Db, WriteTx, adapters::VisibleAdapter, clock::now, parse};
use crate::storage::Key;

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    /// How many bytes it has.
    pub(crate) size: u64,
    /// Where they lie.
    pub(crate) object: Key,
}

impl Blob {
    fn of(digest: &Digest, size: i64, object: Option<String>) -> Self {
        Self { size: size as u64, object: object.map_or_else(|| Key::first_blob(digest), Key::from) }
    }
}

/// Notes that the storage has a blob; `false` when it had it already, under another key.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    digest: &Digest,
    size: u64,
    object: &Key,
) -> Result<bool, sqlx::Error> {
    // The update changes nothing but takes the row: whoever removes it as garbage
    // is either done before, and it is made anew, or sees what refers to it now.
    let sql = "INSERT INTO blobs (digest, size, created_at, object) VALUES ($1, $2, $3, $4)
               ON CONFLICT (digest) DO UPDATE SET size = blobs.size RETURNING object";
    let (kept,): (Option<String>,) = sqlx::query_as(sql)
        .bind(digest.to_string())
        .bind(size as i64)
        .bind(now())
        .bind(object.to_string())
        .fetch_one(tx.connection())
        .await?;
    Ok(kept.is_some_and(|kept| kept == object.to_string()))
}

/// A blob, whoever refers to it: for callers that know by other means who may see it.
pub(crate) async fn find(db: &Db, digest: &Digest) -> Result<Option<Blob>, sqlx::Error> {
    let found: Option<(i64, Option<String>)> =
        sqlx::query_as("SELECT size, object FROM blobs WHERE digest = $1")
            .bind(digest.to_string())
            .fetch_optional(db.read())
            .await?;
    Ok(found.map(|(size, object)| Blob::of(digest, size, object)))
}

/// A blob that a published version of `adapter` lists.
pub(crate) async fn find_in(
    db: &Db,
    adapter: &VisibleAdapter,
    digest: &Digest,
) -> Result<Option<Blob>, sqlx::Error> {
    let sql = "SELECT b.size, b.object FROM blobs b WHERE b.digest = $1 AND EXISTS (
                   SELECT 1 FROM version_files f JOIN versions v ON v.id = f.version_id
                   WHERE f.digest = b.digest AND v.adapter_id = $2)";
    let found: Option<(i64, Option<String>)> =
        sqlx::query_as(sql).bind(digest.to_string()).bind(adapter.key()).fetch_optional(db.read()).await?;
    Ok(found.map(|(size, object)| Blob::of(digest, size, object)))
}

/// Whether `adapter` ($1, $2) may publish the blob `b` without uploading it again.
macro_rules! available {
    () => {
        "(EXISTS (
             SELECT 1 FROM version_files f JOIN versions v ON v.id = f.version_id
             JOIN adapters a ON a.id = v.adapter_id
             WHERE f.digest = b.digest AND a.namespace = $1 AND a.name = $2)
         OR EXISTS (
             SELECT 1 FROM uploads u WHERE u.digest = b.digest
             AND u.namespace = $1 AND u.adapter_name = $2 AND u.completed_at IS NOT NULL))"
    };
}

/// Which of `files` may be published under `adapter` without uploading them again: blobs of its
/// versions and finished uploads to it. Blobs of other adapters do not count:
/// whoever lists a digest has shown that they have the bytes.
pub(crate) async fn available_to(
    db: &Db,
    adapter: &AdapterId,
    files: &[FileEntry],
) -> Result<BTreeMap<Digest, Blob>, sqlx::Error> {
    let places = (0..files.len()).map(|i| format!("${}", i + 3)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        concat!("SELECT b.digest, b.size, b.object FROM blobs b WHERE b.digest IN ({}) AND ", available!()),
        places
    );
    let statement =
        sqlx::query_as(AssertSqlSafe(sql)).bind(adapter.namespace.as_str()).bind(adapter.name.as_str());
    let statement = files.iter().fold(statement, |statement, file| statement.bind(file.digest.to_string()));
    let rows: Vec<(String, i64, Option<String>)> = statement.fetch_all(db.read()).await?;
    let blob = |(digest, size, object): (String, i64, Option<String>)| {
        let digest = parse("blobs.digest", &digest)?;
        Ok((digest, Blob::of(&digest, size, object)))
    };
    rows.into_iter().map(blob).collect()
}

/// One blob of those that are [`available_to`] an adapter.
pub(crate) async fn find_available(
    db: &Db,
    adapter: &AdapterId,
    digest: &Digest,
) -> Result<Option<Blob>, sqlx::Error> {
    let sql = concat!("SELECT b.size, b.object FROM blobs b WHERE b.digest = $3 AND ", available!());
    let found: Option<(i64, Option<String>)> = sqlx::query_as(sql)
        .bind(adapter.namespace.as_str())
        .bind(adapter.name.as_str())
        .bind(digest.to_string())
        .fetch_optional(db.read())
        .await?;
    Ok(found.map(|(size, object)| Blob::of(digest, size, object)))
}

/// Every blob.
pub(crate) async fn all(tx: &mut WriteTx) -> Result<Vec<(Digest, Blob)>, sqlx::Error> {
    let rows: Vec<(String, i64, Option<String>)> =
        sqlx::query_as("SELECT digest, size, object FROM blobs ORDER BY digest")
            .fetch_all(tx.connection())
            .await?;
    let blob = |(digest, size, object): (String, i64, Option<String>)| {
        let digest = parse("blobs.digest", &digest)?;
        Ok((digest, Blob::of(&digest, size, object)))
    };
    rows.into_iter().map(blob).collect()
}

/// Whether an object is where some blob's bytes lie, or will be when its upload or transfer is finished.
pub(crate) async fn is_needed(db: &Db, object: &Key, upload: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT (SELECT COUNT(*) FROM blobs WHERE object = $1)
                    + (SELECT COUNT(*) FROM uploads WHERE id = $2)
                    + (SELECT COUNT(*) FROM mirrored_transfers WHERE id = $2)";
    let (found,): (i64,) =
        sqlx::query_as(sql).bind(object.to_string()).bind(upload).fetch_one(db.read()).await?;
    Ok(found > 0)
}

/// Blobs that nothing refers to and that were queued for review before `before`, with their sizes.
pub(crate) async fn garbage(db: &Db, before: i64) -> Result<Vec<(Digest, u64)>, sqlx::Error> {
    let sql = "SELECT b.digest, b.size FROM blobs b JOIN blob_reviews r ON r.digest = b.digest
               WHERE r.queued_at < $1
               AND NOT EXISTS (SELECT 1 FROM version_files f WHERE f.digest = b.digest)
               AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.digest = b.digest AND u.completed_at IS NOT NULL)
               ORDER BY b.digest";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(before).fetch_all(db.read()).await?;
    rows.iter().map(|(digest, size)| Ok((parse("blobs.digest", digest)?, *size as u64))).collect()
}

/// Takes a blob's row: until the transaction ends nobody can begin to refer to it.
pub(crate) async fn lock(tx: &mut WriteTx, digest: &Digest) -> Result<(), sqlx::Error> {
    // In SQLite the whole transaction has the only turn at writing.
    if tx.backend() == Backend::Postgres {
        sqlx::query("SELECT 1 FROM blobs WHERE digest = $1 FOR UPDATE")
            .bind(digest.to_string())
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

/// Forgets a blob unless something refers to it by now; where its bytes lie if it was forgotten.
pub(crate) async fn forget(tx: &mut WriteTx, digest: &Digest) -> Result<Option<Key>, sqlx::Error> {
    let sql = "DELETE FROM blobs WHERE digest = $1
               AND NOT EXISTS (SELECT 1 FROM version_files f WHERE f.digest = $1)
               AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.digest = $1 AND u.completed_at IS NOT NULL)
               RETURNING object";
    let gone: Option<(Option<String>,)> =
        sqlx::query_as(sql).bind(digest.to_string()).fetch_optional(tx.connection()).await?;
    Ok(gone.map(|(object,)| object.map_or_else(|| Key::first_blob(digest), Key::from)))
}
