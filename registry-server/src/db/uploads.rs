//! `uploads` and `upload_parts`: blobs on their way in.
//!
//! `received` moves only by a compare-and-set, so of two requests that send the
//! same bytes at once exactly one counts.

use std::ops::Range;

use hub_schemas::{
    digest::Digest,
    name::{AdapterId, Namespace},
};
use sqlx::FromRow;

use super::{Db, WriteTx, adapters::VisibleAdapter, blobs, clock::now, new_id, parse};
use crate::{
    domain::permissions::{Caller, Permit, Publish},
    storage::{Key, Part},
};

/// An upload, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Its identifier.
    pub(crate) id: String,
    /// Where it will belong.
    pub(crate) adapter: AdapterId,
    /// The digest its bytes must have.
    pub(crate) digest: Digest,
    /// How many bytes it will have.
    pub(crate) size: u64,
    /// How many of them are safe.
    pub(crate) received: u64,
    /// It is finished: verified and stored as a blob.
    pub(crate) complete: bool,
    /// What the store calls the object that it puts together, and how far it is hashed.
    pub(crate) multipart: Option<Begun>,
    /// The suspended hash of the bytes in a file that grows, as [`grow`] was told.
    pub(crate) hashed: Option<String>,
}

/// A part that is an object of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPart {
    /// Which bytes of the file count; there may be more behind them.
    pub(crate) range: Range<u64>,
    /// Where they lie.
    pub(crate) object: Key,
}

/// An object that grows in the store itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// What the store calls it.
    pub(crate) id: String,
    /// The suspended hash of the acknowledged bytes; empty before the first, or [`NOT_HASHED`].
    pub(crate) hashed: String,
}

/// Stands for the hash of bytes that went to the store itself, where nobody here saw them.
pub(crate) const NOT_HASHED: &str = "-";

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    namespace: String,
    adapter_name: String,
    digest: String,
    size: i64,
    received: i64,
    completed_at: Option<i64>,
    multipart: Option<String>,
    hashed: Option<String>,
}

/// The columns of [`Row`]; a macro, so that statements stay literals.
macro_rules! columns {
    () => {
        "id, namespace, adapter_name, digest, size, received, completed_at, multipart, hashed"
    };
}

impl Row {
    fn into_upload(self) -> Result<Upload, sqlx::Error> {
        Ok(Upload {
            id: self.id,
            adapter: AdapterId {
                namespace: parse("uploads.namespace", &self.namespace)?,
                name: parse("uploads.adapter_name", &self.adapter_name)?,
            },
            digest: parse("uploads.digest", &self.digest)?,
            size: self.size as u64,
            received: self.received as u64,
            complete: self.completed_at.is_some(),
            hashed: self.hashed.clone().filter(|_| self.multipart.is_none()),
            multipart: self.multipart.map(|id| Begun { id, hashed: self.hashed.unwrap_or_default() }),
        })
    }
}

/// The unfinished or finished upload of this blob by this user to this adapter, made if there is none.
pub(crate) async fn start(
    tx: &mut WriteTx,
    permit: &Permit<Publish>,
    adapter: &AdapterId,
    digest: &Digest,
    size: u64,
) -> Result<Upload, sqlx::Error> {
    debug_assert!(permit.covers(adapter), "the handler asked for another adapter");
    // Continuing an upload keeps it from being swept.
    let sql = concat!(
        "INSERT INTO uploads (id, user_name, namespace, adapter_name, digest, size, received,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7)
         ON CONFLICT (user_name, namespace, adapter_name, digest)
         DO UPDATE SET updated_at = excluded.updated_at RETURNING ",
        columns!()
    );
    let row: Row = sqlx::query_as(sql)
        .bind(new_id())
        .bind(permit.user())
        .bind(adapter.namespace.as_str())
        .bind(adapter.name.as_str())
        .bind(digest.to_string())
        .bind(size as i64)
        .bind(now())
        .fetch_one(tx.connection())
        .await?;
    row.into_upload()
}

/// The upload, when it belongs to the caller.
pub(crate) async fn find(db: &Db, owner: &Caller, id: &str) -> Result<Option<Upload>, sqlx::Error> {
    find_of(db, owner.user(), id).await
}

async fn find_of(db: &Db, owner: &Namespace, id: &str) -> Result<Option<Upload>, sqlx::Error> {
    let sql = concat!("SELECT ", columns!(), " FROM uploads WHERE id = $1 AND user_name = $2");
    let row: Option<Row> =
        sqlx::query_as(sql).bind(id).bind(owner.as_str()).fetch_optional(db.read()).await?;
    row.map(Row::into_upload).transpose()
}

/// Acknowledges a stored part; `false` when another request was faster.
pub(crate) async fn append(
    tx: &mut WriteTx,
    upload: &Upload,
    range: &Range<u64>,
    object: &Key,
) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE uploads SET received = $1, updated_at = $2
               WHERE id = $3 AND received = $4 AND completed_at IS NULL AND multipart IS NULL";
    let done = sqlx::query(sql)
        .bind(range.end as i64)
        .bind(now())
        .bind(upload.id.as_str())
        .bind(range.start as i64)
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    insert_part(tx, upload, range.start, range.end, &object.to_string()).await?;
    Ok(true)
}

/// Acknowledges what a part has grown to, and how far all of them are hashed; `false` when another request
/// was faster. `before` is the end of what was acknowledged, which is where a new part starts.
pub(crate) async fn grow(
    tx: &mut WriteTx,
    upload: &Upload,
    before: u64,
    part: &StoredPart,
    hashed: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE uploads SET received = $1, hashed = $2, updated_at = $3
               WHERE id = $4 AND received = $5 AND completed_at IS NULL AND multipart IS NULL";
    let done = sqlx::query(sql)
        .bind(part.range.end as i64)
        .bind(hashed)
        .bind(now())
        .bind(upload.id.as_str())
        .bind(before as i64)
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let object = part.object.to_string();
    if part.range.start == before {
        insert_part(tx, upload, before, part.range.end, &object).await?;
        return Ok(true);
    }
    let sql = "UPDATE upload_parts SET end_at = $1
               WHERE upload_id = $2 AND start_at = $3 AND end_at = $4 AND object = $5";
    let done = sqlx::query(sql)
        .bind(part.range.end as i64)
        .bind(upload.id.as_str())
        .bind(part.range.start as i64)
        .bind(before as i64)
        .bind(object)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Remembers what the store calls the object of an upload without any byte yet;
/// `false` when another request was faster.
pub(crate) async fn begin(tx: &mut WriteTx, upload: &Upload, id: &str) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE uploads SET multipart = $1, updated_at = $2
               WHERE id = $3 AND received = 0 AND completed_at IS NULL AND multipart IS NULL";
    let done =
        sqlx::query(sql).bind(id).bind(now()).bind(upload.id.as_str()).execute(tx.connection()).await?;
    Ok(done.rows_affected() > 0)
}

/// Acknowledges parts that the store has by its own names; `false` when another request was faster.
pub(crate) async fn append_parts(
    tx: &mut WriteTx,
    upload: &Upload,
    begun: &Begun,
    range: &Range<u64>,
    parts: &[Part],
) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE uploads SET received = $1, hashed = $2, updated_at = $3
               WHERE id = $4 AND received = $5 AND completed_at IS NULL AND multipart = $6";
    let done = sqlx::query(sql)
        .bind(range.end as i64)
        .bind(begun.hashed.as_str())
        .bind(now())
        .bind(upload.id.as_str())
        .bind(range.start as i64)
        .bind(begun.id.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    // Where one begins is enough to keep them in order; none is shorter than their number.
    for (start, part) in (range.start..).zip(parts) {
        insert_part(tx, upload, start, range.end, &part.0).await?;
    }
    Ok(true)
}

async fn insert_part(
    tx: &mut WriteTx,
    upload: &Upload,
    start: u64,
    end: u64,
    object: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO upload_parts (upload_id, start_at, end_at, object) VALUES ($1, $2, $3, $4)")
        .bind(upload.id.as_str())
        .bind(start as i64)
        .bind(end as i64)
        .bind(object)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The acknowledged parts that are objects of their own, in order.
pub(crate) async fn parts(db: &Db, upload: &Upload) -> Result<Vec<StoredPart>, sqlx::Error> {
    let sql = "SELECT start_at, end_at, object FROM upload_parts WHERE upload_id = $1 ORDER BY start_at";
    let rows: Vec<(i64, i64, String)> =
        sqlx::query_as(sql).bind(upload.id.as_str()).fetch_all(db.read()).await?;
    let part = |(start, end, object): (i64, i64, String)| StoredPart {
        range: start as u64..end as u64,
        object: Key::from(object),
    };
    Ok(rows.into_iter().map(part).collect())
}

/// What the store calls the acknowledged parts, in order.
pub(crate) async fn part_names(db: &Db, upload: &Upload) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT object FROM upload_parts WHERE upload_id = $1 ORDER BY start_at")
            .bind(upload.id.as_str())
            .fetch_all(db.read())
            .await?;
    Ok(rows.into_iter().map(|(object,)| object).collect())
}

/// How many parts are acknowledged.
pub(crate) async fn count_parts(db: &Db, upload: &Upload) -> Result<usize, sqlx::Error> {
    let sql = "SELECT COUNT(*) FROM upload_parts WHERE upload_id = $1";
    let (count,): (i64,) = sqlx::query_as(sql).bind(upload.id.as_str()).fetch_one(db.read()).await?;
    Ok(count as usize)
}

/// What became of an upload whose bytes were verified and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The object is the blob.
    Kept,
    /// The registry had the blob before: the object is not needed.
    Known,
    /// The upload was cancelled meanwhile.
    Cancelled,
}

/// Marks an upload whose bytes were verified and stored as finished.
pub(crate) async fn complete(
    tx: &mut WriteTx,
    upload: &Upload,
    object: &Key,
) -> Result<Finished, sqlx::Error> {
    let sql = "UPDATE uploads SET completed_at = COALESCE(completed_at, $1), updated_at = $1 WHERE id = $2";
    let done = sqlx::query(sql).bind(now()).bind(upload.id.as_str()).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Ok(Finished::Cancelled);
    }
    delete_parts(tx, &upload.id).await?;
    let kept = blobs::insert(tx, &upload.digest, upload.size, object).await?;
    Ok(if kept { Finished::Kept } else { Finished::Known })
}

/// Lets an upload whose object in the store turned out wrong start again from its first byte.
pub(crate) async fn reset_object(tx: &mut WriteTx, upload: &Upload, id: &str) -> Result<(), sqlx::Error> {
    let sql = "UPDATE uploads SET received = 0, multipart = NULL, hashed = NULL, updated_at = $1
               WHERE id = $2 AND multipart = $3 AND completed_at IS NULL";
    let done =
        sqlx::query(sql).bind(now()).bind(upload.id.as_str()).bind(id).execute(tx.connection()).await?;
    if done.rows_affected() > 0 { delete_parts(tx, &upload.id).await } else { Ok(()) }
}

/// Lets an upload whose `parts` turned out wrong start again from its first byte.
/// Where another request did that before, what came since is left alone.
pub(crate) async fn reset(
    tx: &mut WriteTx,
    upload: &Upload,
    parts: &[StoredPart],
) -> Result<(), sqlx::Error> {
    let Some(first) = parts.first() else { return Ok(()) };
    let sql = "DELETE FROM upload_parts WHERE upload_id = $1 AND object = $2";
    let done = sqlx::query(sql)
        .bind(upload.id.as_str())
        .bind(first.object.to_string())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    let sql = "UPDATE uploads SET received = 0, hashed = NULL, updated_at = $1
               WHERE id = $2 AND completed_at IS NULL";
    sqlx::query(sql).bind(now()).bind(upload.id.as_str()).execute(tx.connection()).await?;
    delete_parts(tx, &upload.id).await
}

/// Forgets an upload.
pub(crate) async fn delete(tx: &mut WriteTx, upload: &str) -> Result<(), sqlx::Error> {
    delete_parts(tx, upload).await?;
    sqlx::query("DELETE FROM uploads WHERE id = $1").bind(upload).execute(tx.connection()).await?;
    Ok(())
}

/// Forgets an upload that nobody touched since `before`; `false` when somebody did.
pub(crate) async fn delete_stale(
    tx: &mut WriteTx,
    upload: &Upload,
    before: i64,
) -> Result<bool, sqlx::Error> {
    // Taken first: whoever continues it now waits, and finds it gone.
    let sql = "UPDATE uploads SET updated_at = updated_at WHERE id = $1 AND updated_at < $2";
    let done = sqlx::query(sql).bind(upload.id.as_str()).bind(before).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    delete(tx, &upload.id).await?;
    Ok(true)
}

async fn delete_parts(tx: &mut WriteTx, upload: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM upload_parts WHERE upload_id = $1")
        .bind(upload)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Uploads that nobody touched since `before`.
pub(crate) async fn stale(db: &Db, before: i64) -> Result<Vec<Upload>, sqlx::Error> {
    let sql = concat!("SELECT ", columns!(), " FROM uploads WHERE updated_at < $1");
    let rows: Vec<Row> = sqlx::query_as(sql).bind(before).fetch_all(db.read()).await?;
    rows.into_iter().map(Row::into_upload).collect()
}

/// Lets uploads that were touched after a date be touched `now`; how many.
pub(crate) async fn bring_back(tx: &mut WriteTx, beyond: i64, now: i64) -> Result<u64, sqlx::Error> {
    let sql = "UPDATE uploads SET updated_at = $1 WHERE updated_at > $2";
    let done = sqlx::query(sql).bind(now).bind(beyond).execute(tx.connection()).await?;
    Ok(done.rows_affected())
}

/// Forgets the finished uploads to `adapter` whose blobs its versions list by now.
pub(crate) async fn delete_published(
    tx: &mut WriteTx,
    _permit: &Permit<Publish>,
    adapter: &VisibleAdapter,
) -> Result<(), sqlx::Error> {
    let sql = "DELETE FROM uploads
               WHERE namespace = $1 AND adapter_name = $2 AND completed_at IS NOT NULL AND EXISTS (
                   SELECT 1 FROM version_files f JOIN versions v ON v.id = f.version_id
                   WHERE f.digest = uploads.digest AND v.adapter_id = $3)";
    sqlx::query(sql)
        .bind(adapter.id.namespace.as_str())
        .bind(adapter.id.name.as_str())
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    Ok(())
}
