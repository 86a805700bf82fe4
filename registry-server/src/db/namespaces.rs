//! `namespaces`: who can own adapters.

use hub_schemas::{api::NamespaceKind, name::Namespace};

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::now,
};
use crate::domain::permissions::{CreateOrganisation, Permit};

/// Makes a namespace; `false` when it exists.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    permit: &Permit<CreateOrganisation>,
    name: &Namespace,
) -> Result<bool, sqlx::Error> {
    if !ensure(tx, name).await? {
        return Ok(false);
    }
    let event = Event { actor: permit.actor(), action: "namespace-add", subject: name.as_str(), detail: "" };
    audit::record(tx, event).await?;
    Ok(true)
}

/// Makes a namespace that nobody here asked for; `false` when it exists.
pub(super) async fn ensure(tx: &mut WriteTx, name: &Namespace) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO namespaces (name, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(name.as_str()).bind(now()).execute(tx.connection()).await?;
    Ok(done.rows_affected() > 0)
}

/// Whether a namespace exists.
pub(crate) async fn exists(tx: &mut WriteTx, name: &Namespace) -> Result<bool, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT name FROM namespaces WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(tx.connection())
        .await?;
    Ok(found.is_some())
}

/// Whose it is; `None` when there is no such namespace.
pub(crate) async fn kind(db: &Db, name: &Namespace) -> Result<Option<NamespaceKind>, sqlx::Error> {
    let sql = "SELECT COUNT(u.name) FROM namespaces n LEFT JOIN users u ON u.name = n.name
               WHERE n.name = $1 GROUP BY n.name";
    let found: Option<(i64,)> = sqlx::query_as(sql).bind(name.as_str()).fetch_optional(db.read()).await?;
    let kind = |users| if users > 0 { NamespaceKind::User } else { NamespaceKind::Organisation };
    Ok(found.map(|(users,)| kind(users)))
}

/// Takes its row: until the transaction ends nobody else changes its members.
pub(crate) async fn lock(tx: &mut WriteTx, name: &Namespace) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE namespaces SET created_at = created_at WHERE name = $1")
        .bind(name.as_str())
        .execute(tx.connection())
        .await?;
    Ok(())
}
