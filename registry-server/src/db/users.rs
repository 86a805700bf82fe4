//! `users`: who can have tokens.

use hub_schemas::name::Namespace;
use time::OffsetDateTime;

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::{from_micros, now},
    members, namespaces, parse,
};
use crate::domain::permissions::{Administer, CreateOrganisation, Permit};

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// Their name.
    pub(crate) name: Namespace,
    /// Since when.
    pub(crate) created_at: OffsetDateTime,
    /// Whether they run the registry.
    pub(crate) administrator: bool,
}

/// Makes a user and the namespace of their name, which they own; `false` when that exists.
pub(crate) async fn found(
    tx: &mut WriteTx,
    administering: &Permit<Administer>,
    founding: &Permit<CreateOrganisation>,
    name: &Namespace,
) -> Result<bool, sqlx::Error> {
    if !namespaces::insert(tx, founding, name).await? {
        return Ok(false);
    }
    sqlx::query("INSERT INTO users (name, created_at) VALUES ($1, $2)")
        .bind(name.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    let actor = administering.actor();
    audit::record(tx, Event { actor, action: "user-add", subject: name.as_str(), detail: "" }).await?;
    members::found(tx, founding, name, name).await?;
    Ok(true)
}

/// Makes a user an administrator, or takes that back; `false` when there is no such user.
pub(crate) async fn set_administrator(
    tx: &mut WriteTx,
    permit: &Permit<Administer>,
    name: &Namespace,
    administrator: bool,
) -> Result<bool, sqlx::Error> {
    let sql = "UPDATE users SET administrator_since =
                   CASE WHEN $1 = 0 THEN NULL ELSE COALESCE(administrator_since, $2) END
               WHERE name = $3";
    let done = sqlx::query(sql)
        .bind(i64::from(administrator))
        .bind(now())
        .bind(name.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let detail = if administrator { "administrator" } else { "no administrator" };
    let event = Event { actor: permit.actor(), action: "user-change", subject: name.as_str(), detail };
    audit::record(tx, event).await?;
    Ok(true)
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
    let rows: Vec<(String, i64, Option<i64>)> =
        sqlx::query_as("SELECT name, created_at, administrator_since FROM users ORDER BY name")
            .fetch_all(db.read())
            .await?;
    rows.into_iter()
        .map(|(name, created, administrator)| {
            Ok(User {
                name: parse("users.name", &name)?,
                created_at: from_micros(created),
                administrator: administrator.is_some(),
            })
        })
        .collect()
}
