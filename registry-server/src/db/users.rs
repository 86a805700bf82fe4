//! `users`: who can have tokens.

use hub_schemas::name::Namespace;
use time::OffsetDateTime;

use super::{
    Db, WriteTx,
    audit::{self, Event, OPERATOR},
    clock::{from_micros, now},
    parse,
};
use crate::domain::permissions::OperatorPermit;

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// Their name.
    pub(crate) name: Namespace,
    /// Since when.
    pub(crate) created_at: OffsetDateTime,
}

/// Makes a user whose namespace exists.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    _permit: &OperatorPermit,
    name: &Namespace,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO users (name, created_at) VALUES ($1, $2)")
        .bind(name.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    let event = Event { actor: OPERATOR, action: "user-add", subject: name.as_str(), detail: "" };
    audit::record(tx, event).await
}

/// Whether a user exists.
pub(crate) async fn exists(tx: &mut WriteTx, name: &Namespace) -> Result<bool, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT name FROM users WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(tx.connection())
        .await?;
    Ok(found.is_some())
}

/// Every user, by name.
pub(crate) async fn all(db: &Db) -> Result<Vec<User>, sqlx::Error> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT name, created_at FROM users ORDER BY name").fetch_all(db.read()).await?;
    rows.into_iter()
        .map(|(name, created)| {
            Ok(User { name: parse("users.name", &name)?, created_at: from_micros(created) })
        })
        .collect()
}
