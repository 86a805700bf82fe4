//! `quotas`: how much a namespace may hold, and how much it does.

use hub_schemas::{api::Usage, name::Namespace};
use sqlx::FromRow;

use super::{
    Db, WriteTx,
    adapters::VisibleAdapter,
    audit::{self, Event},
};
use crate::domain::{
    permissions::{Administer, Permit},
    quota::Quota,
};

#[derive(Debug, FromRow)]
struct Row {
    adapters: i64,
    bytes: i64,
    uploading: i64,
    max_bytes: Option<i64>,
    max_adapters: Option<i64>,
}

/// What a namespace holds: the sum of its versions' sizes, whatever they share.
const USAGE: &str = "SELECT
        (SELECT COUNT(*) FROM adapters WHERE namespace = $1 AND deleted_at IS NULL) AS adapters,
        (SELECT CAST(COALESCE(SUM(v.size), 0) AS BIGINT) FROM versions v
         JOIN adapters a ON a.id = v.adapter_id WHERE a.namespace = $1) AS bytes,
        (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM uploads WHERE namespace = $1) AS uploading,
        (SELECT max_bytes FROM quotas WHERE namespace = $1) AS max_bytes,
        (SELECT max_adapters FROM quotas WHERE namespace = $1) AS max_adapters";

impl Row {
    fn into_usage(self) -> Usage {
        Usage {
            adapters: self.adapters as u64,
            bytes: self.bytes as u64,
            uploading_bytes: self.uploading as u64,
            max_adapters: self.max_adapters.map(|max| max as u64),
            max_bytes: self.max_bytes.map(|max| max as u64),
        }
    }
}

/// Whether something limits a namespace: most have no quota and some have many versions, so that the sums of
/// [`usage_in`] are asked for only then.
pub(crate) async fn is_limited(tx: &mut WriteTx, namespace: &Namespace) -> Result<bool, sqlx::Error> {
    let sql = "SELECT COUNT(*) FROM quotas WHERE namespace = $1
               AND (max_bytes IS NOT NULL OR max_adapters IS NOT NULL)";
    let (limits,): (i64,) = sqlx::query_as(sql).bind(namespace.as_str()).fetch_one(tx.connection()).await?;
    Ok(limits > 0)
}

/// What a namespace holds and may hold.
pub(crate) async fn usage(db: &Db, namespace: &Namespace) -> Result<Usage, sqlx::Error> {
    let row: Row = sqlx::query_as(USAGE).bind(namespace.as_str()).fetch_one(db.read()).await?;
    Ok(row.into_usage())
}

/// The same inside the transaction that is about to add to it.
pub(crate) async fn usage_in(tx: &mut WriteTx, namespace: &Namespace) -> Result<Usage, sqlx::Error> {
    let row: Row = sqlx::query_as(USAGE).bind(namespace.as_str()).fetch_one(tx.connection()).await?;
    Ok(row.into_usage())
}

/// What one adapter holds of its namespace's bytes.
pub(crate) async fn held_by(tx: &mut WriteTx, adapter: &VisibleAdapter) -> Result<u64, sqlx::Error> {
    let sql = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM versions WHERE adapter_id = $1";
    let (bytes,): (i64,) = sqlx::query_as(sql).bind(adapter.key()).fetch_one(tx.connection()).await?;
    Ok(bytes as u64)
}

/// Sets how much a namespace, which exists, may hold.
pub(crate) async fn set(
    tx: &mut WriteTx,
    permit: &Permit<Administer>,
    namespace: &Namespace,
    quota: Quota,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO quotas (namespace, max_bytes, max_adapters) VALUES ($1, $2, $3)
               ON CONFLICT (namespace) DO UPDATE SET max_bytes = excluded.max_bytes,
                   max_adapters = excluded.max_adapters";
    sqlx::query(sql)
        .bind(namespace.as_str())
        .bind(quota.max_bytes.map(|max| max as i64))
        .bind(quota.max_adapters.map(|max| max as i64))
        .execute(tx.connection())
        .await?;
    let detail = quota.to_string();
    let event =
        Event { actor: permit.actor(), action: "quota-set", subject: namespace.as_str(), detail: &detail };
    audit::record(tx, event).await
}
