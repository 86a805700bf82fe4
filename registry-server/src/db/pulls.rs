//! `pull_days` and `pull_journals`: how often what was pulled when.

use std::collections::BTreeMap;

use hub_schemas::{api::PullDay, digest::Digest};
use time::{Date, OffsetDateTime};

use super::{Db, WriteTx, adapters::VisibleAdapter, clock::now, parse};

/// Pulls by manifest and day.
pub(crate) type Counts = BTreeMap<(Digest, i64), u64>;

/// The day of a moment, counted from 1970.
pub(crate) fn day_of(at: OffsetDateTime) -> i64 {
    at.unix_timestamp().div_euclid(86_400)
}

fn date_of(day: i64) -> Date {
    OffsetDateTime::from_unix_timestamp(day * 86_400).unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

/// Adds the counts of a journal; `false` when they were added before.
pub(crate) async fn add(tx: &mut WriteTx, journal: &str, counts: &Counts) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO pull_journals (id, counted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(journal).bind(now()).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    // In one order, so that two servers never wait for each other.
    for ((digest, day), &count) in counts {
        let (digest, count) = (digest.to_string(), count as i64);
        let sql = "INSERT INTO pull_days (version_id, day, pulls)
                   SELECT id, $2, $3 FROM versions WHERE digest = $1
                   ON CONFLICT (version_id, day) DO UPDATE SET pulls = pull_days.pulls + excluded.pulls";
        sqlx::query(sql).bind(digest.as_str()).bind(*day).bind(count).execute(tx.connection()).await?;
        sqlx::query("UPDATE versions SET pulls = pulls + $1 WHERE digest = $2")
            .bind(count)
            .bind(digest.as_str())
            .execute(tx.connection())
            .await?;
        let sql = "UPDATE adapters SET pulls = pulls + $1
                   WHERE id = (SELECT adapter_id FROM versions WHERE digest = $2)";
        sqlx::query(sql).bind(count).bind(digest).execute(tx.connection()).await?;
    }
    Ok(true)
}

/// Forgets a journal whose file is gone.
pub(crate) async fn forget(tx: &mut WriteTx, journal: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM pull_journals WHERE id = $1").bind(journal).execute(tx.connection()).await?;
    Ok(())
}

/// The pulls of an adapter since the day `from`, the newest day first.
pub(crate) async fn since(db: &Db, adapter: &VisibleAdapter, from: i64) -> Result<Vec<PullDay>, sqlx::Error> {
    let sql = "SELECT p.day, v.version, p.pulls FROM pull_days p JOIN versions v ON v.id = p.version_id
               WHERE v.adapter_id = $1 AND p.day >= $2 ORDER BY p.day DESC, v.version";
    let rows: Vec<(i64, String, i64)> =
        sqlx::query_as(sql).bind(adapter.key()).bind(from).fetch_all(db.read()).await?;
    rows.into_iter()
        .map(|(day, version, pulls)| {
            Ok(PullDay {
                day: date_of(day).to_string(),
                version: parse("versions.version", &version)?,
                pulls: pulls as u64,
            })
        })
        .collect()
}
