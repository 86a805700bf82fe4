//! `passwords`: what is kept of the passwords of built-in accounts.

use hub_schemas::name::Namespace;

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::now,
};
use crate::domain::permissions::{ManageAccount, Permit};

/// The hash of a user's password; `None` when they have none, or do not exist.
pub(crate) async fn hash_of(db: &Db, user: &Namespace) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT hash FROM passwords WHERE user_name = $1")
        .bind(user.as_str())
        .fetch_optional(db.read())
        .await?;
    Ok(found.map(|(hash,)| hash))
}

/// Keeps the hash of a new password, in place of `old`; `false` when somebody else was faster.
pub(crate) async fn set(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
    old: Option<&str>,
    hash: &str,
) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO passwords (user_name, hash, changed_at) VALUES ($1, $2, $3)
               ON CONFLICT (user_name) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at
               WHERE passwords.hash = $4";
    let done = sqlx::query(sql)
        .bind(user.as_str())
        .bind(hash)
        .bind(now())
        .bind(old.unwrap_or_default())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    record_set(tx, permit, user).await?;
    Ok(true)
}

/// Keeps the hash of a new password, whatever was there: somebody who changes theirs at the same
/// moment must not win over an operator.
pub(crate) async fn replace(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
    hash: &str,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO passwords (user_name, hash, changed_at) VALUES ($1, $2, $3)
               ON CONFLICT (user_name) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at";
    sqlx::query(sql).bind(user.as_str()).bind(hash).bind(now()).execute(tx.connection()).await?;
    record_set(tx, permit, user).await
}

async fn record_set(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
) -> Result<(), sqlx::Error> {
    let event = Event { actor: permit.actor(), action: "password-set", subject: user.as_str(), detail: "" };
    audit::record(tx, event).await
}

/// Forgets a user's password; `false` when they have none.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<ManageAccount>,
    user: &Namespace,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM passwords WHERE user_name = $1")
        .bind(user.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let event =
        Event { actor: permit.actor(), action: "password-remove", subject: user.as_str(), detail: "" };
    audit::record(tx, event).await?;
    Ok(true)
}
