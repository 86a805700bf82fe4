//! `reserved_names`: names of namespaces that nobody takes for themselves.

use hub_schemas::name::Namespace;

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::now,
    parse,
};
use crate::domain::permissions::{Administer, Permit};

/// Keeps a name back, or changes why.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    permit: &Permit<Administer>,
    name: &Namespace,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO reserved_names (name, reason, created_at) VALUES ($1, $2, $3)
               ON CONFLICT (name) DO UPDATE SET reason = excluded.reason";
    sqlx::query(sql).bind(name.as_str()).bind(reason).bind(now()).execute(tx.connection()).await?;
    let event =
        Event { actor: permit.actor(), action: "name-reserve", subject: name.as_str(), detail: reason };
    audit::record(tx, event).await
}

/// Lets a name go; `false` when it was not kept back.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<Administer>,
    name: &Namespace,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM reserved_names WHERE name = $1")
        .bind(name.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let event = Event { actor: permit.actor(), action: "name-release", subject: name.as_str(), detail: "" };
    audit::record(tx, event).await?;
    Ok(true)
}

/// Why a name is kept back; `None` when it is not.
pub(crate) async fn reason(tx: &mut WriteTx, name: &Namespace) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT reason FROM reserved_names WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(tx.connection())
        .await?;
    Ok(found.map(|(reason,)| reason))
}

/// Every name that is kept back, and why.
pub(crate) async fn all(db: &Db) -> Result<Vec<(Namespace, String)>, sqlx::Error> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT name, reason FROM reserved_names ORDER BY name").fetch_all(db.read()).await?;
    rows.into_iter().map(|(name, reason)| Ok((parse("reserved_names.name", &name)?, reason))).collect()
}
