//! `namespaces`: who can own adapters.

use hub_schemas::name::Namespace;

use super::{
    WriteTx,
    audit::{self, Event, OPERATOR},
    clock::now,
};
use crate::domain::permissions::OperatorPermit;

/// Makes a namespace; `false` when it exists.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    _permit: &OperatorPermit,
    name: &Namespace,
) -> Result<bool, sqlx::Error> {
    let done =
        sqlx::query("INSERT INTO namespaces (name, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name.as_str())
            .bind(now())
            .execute(tx.connection())
            .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let event = Event { actor: OPERATOR, action: "namespace-add", subject: name.as_str(), detail: "" };
    audit::record(tx, event).await?;
    Ok(true)
}

/// Whether a namespace exists.
pub(crate) async fn exists(tx: &mut WriteTx, name: &Namespace) -> Result<bool, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT name FROM namespaces WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(tx.connection())
        .await?;
    Ok(found.is_some())
}
