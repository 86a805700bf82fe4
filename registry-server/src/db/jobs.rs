//! `jobs`: work that is done later.
//!
//! A process takes a job by a lease that it renews while it works. Whoever is killed
//! stops renewing, and another process takes the job again.

use std::time::Duration;

use sqlx::FromRow;

use super::{Backend, Db, WriteTx, clock::now, new_id};

/// A job that this process holds.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Held {
    /// Its identifier.
    pub(crate) id: String,
    /// What kind it is.
    pub(crate) kind: String,
    /// Its values, as JSON.
    pub(crate) payload: String,
    /// How often it was taken, this time included.
    pub(crate) attempts: i64,
    /// The name of the lease.
    pub(crate) lease: String,
}

/// Puts a job into the queue, in the transaction of whatever causes it.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    kind: &str,
    payload: &str,
    after: Duration,
) -> Result<(), sqlx::Error> {
    insert_as(tx, &new_id(), kind, payload, after).await
}

/// Puts a job that is always in the queue there, unless it is.
pub(crate) async fn insert_recurring(tx: &mut WriteTx, kind: &str, payload: &str) -> Result<(), sqlx::Error> {
    insert_as(tx, kind, kind, payload, Duration::ZERO).await
}

async fn insert_as(
    tx: &mut WriteTx,
    id: &str,
    kind: &str,
    payload: &str,
    after: Duration,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO jobs (id, kind, payload, run_at, attempts, created_at)
               VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT DO NOTHING";
    sqlx::query(sql)
        .bind(id)
        .bind(kind)
        .bind(payload)
        .bind(now() + micros(after))
        .bind(now())
        .execute(tx.connection())
        .await?;
    Ok(())
}

const SQLITE_CLAIM: &str =
    "UPDATE jobs SET lease = $1, leased_until = $2, attempts = attempts + 1 WHERE id = (
        SELECT id FROM jobs WHERE run_at <= $3 AND failed_at IS NULL
        AND (leased_until IS NULL OR leased_until < $3) ORDER BY run_at LIMIT 1)
    RETURNING id, kind, payload, attempts, lease";
// Two processes that ask at once take two jobs, and neither waits.
const POSTGRES_CLAIM: &str =
    "UPDATE jobs SET lease = $1, leased_until = $2, attempts = attempts + 1 WHERE id = (
        SELECT id FROM jobs WHERE run_at <= $3 AND failed_at IS NULL
        AND (leased_until IS NULL OR leased_until < $3) ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, kind, payload, attempts, lease";

/// Takes the job that has waited longest, for `lease`.
pub(crate) async fn claim(db: &Db, lease: Duration) -> Result<Option<Held>, sqlx::Error> {
    // Asking costs SQLite no turn at writing.
    let sql = "SELECT COUNT(*) FROM jobs WHERE run_at <= $1 AND failed_at IS NULL
               AND (leased_until IS NULL OR leased_until < $1)";
    let (due,): (i64,) = sqlx::query_as(sql).bind(now()).fetch_one(db.read()).await?;
    if due == 0 {
        return Ok(None);
    }
    let sql = match db.backend() {
        Backend::Sqlite => SQLITE_CLAIM,
        Backend::Postgres => POSTGRES_CLAIM,
    };
    let mut tx = db.write().await?;
    let held = sqlx::query_as(sql)
        .bind(new_id())
        .bind(now() + micros(lease))
        .bind(now())
        .fetch_optional(tx.connection())
        .await?;
    tx.commit().await?;
    Ok(held)
}

/// Keeps a job; `false` when another process has it by now.
pub(crate) async fn renew(db: &Db, held: &Held, lease: Duration) -> Result<bool, sqlx::Error> {
    let mut tx = db.write().await?;
    let done = sqlx::query("UPDATE jobs SET leased_until = $1 WHERE id = $2 AND lease = $3")
        .bind(now() + micros(lease))
        .bind(held.id.as_str())
        .bind(held.lease.as_str())
        .execute(tx.connection())
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected() > 0)
}

/// Lets jobs that are put off beyond a date, or held so long, be taken `now`; how many.
pub(crate) async fn bring_back(tx: &mut WriteTx, beyond: i64, now: i64) -> Result<u64, sqlx::Error> {
    let sql = "UPDATE jobs SET run_at = $1, lease = NULL, leased_until = NULL
               WHERE run_at > $2 OR leased_until > $2";
    let done = sqlx::query(sql).bind(now).bind(beyond).execute(tx.connection()).await?;
    Ok(done.rows_affected())
}

/// What becomes of a job that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Gone,
    /// It is done, and done again after this time.
    Again(Duration),
    /// It failed, and is tried again after this time.
    Retry(Duration, String),
    /// It failed for the last time; it is kept for people to see.
    Failed(String),
}

/// Lets a job go. Nothing happens where another process has it by now.
pub(crate) async fn settle(db: &Db, held: &Held, fate: &Fate) -> Result<(), sqlx::Error> {
    let mut tx = db.write().await?;
    let (run_at, error, failed_at, attempts) = match fate {
        Fate::Gone => {
            sqlx::query("DELETE FROM jobs WHERE id = $1 AND lease = $2")
                .bind(held.id.as_str())
                .bind(held.lease.as_str())
                .execute(tx.connection())
                .await?;
            return tx.commit().await;
        }
        Fate::Again(after) => (now() + micros(*after), None, None, 0),
        Fate::Retry(after, error) => (now() + micros(*after), Some(error), None, held.attempts),
        Fate::Failed(error) => (now(), Some(error), Some(now()), held.attempts),
    };
    let sql = "UPDATE jobs SET run_at = $1, last_error = $2, failed_at = $3, attempts = $4, lease = NULL,
                   leased_until = NULL WHERE id = $5 AND lease = $6";
    sqlx::query(sql)
        .bind(run_at)
        .bind(error.map(String::as_str))
        .bind(failed_at)
        .bind(attempts)
        .bind(held.id.as_str())
        .bind(held.lease.as_str())
        .execute(tx.connection())
        .await?;
    tx.commit().await
}

/// How many jobs of a kind wait, and how many were given up.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Count {
    /// The kind.
    pub(crate) kind: String,
    /// Waiting or running.
    pub(crate) waiting: i64,
    /// Given up.
    pub(crate) failed: i64,
}

/// The queue in numbers, by kind.
pub(crate) async fn counts(db: &Db) -> Result<Vec<Count>, sqlx::Error> {
    let sql = "SELECT kind, COUNT(*) - COUNT(failed_at) AS waiting, COUNT(failed_at) AS failed
               FROM jobs GROUP BY kind ORDER BY kind";
    sqlx::query_as(sql).fetch_all(db.read()).await
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}
