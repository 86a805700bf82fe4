//! `webhooks`: where the events of a namespace are sent.

use hub_schemas::{api::Webhook, name::Namespace};
use sqlx::FromRow;

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::{from_micros, now},
    new_id,
};
use crate::domain::permissions::{ManageMembers, Permit};

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    url: String,
    created_at: i64,
    last_at: Option<i64>,
    last_outcome: Option<String>,
}

/// Sends the events of a namespace to `url`, signed with `secret`.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    url: &str,
    secret: &str,
) -> Result<Webhook, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    let (id, created_at) = (new_id(), now());
    let sql = "INSERT INTO webhooks (id, namespace, url, secret, created_at) VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(id.as_str())
        .bind(namespace.as_str())
        .bind(url)
        .bind(secret)
        .bind(created_at)
        .execute(tx.connection())
        .await?;
    let event =
        Event { actor: permit.actor(), action: "webhook-add", subject: namespace.as_str(), detail: url };
    audit::record(tx, event).await?;
    Ok(Webhook {
        id,
        url: url.to_owned(),
        created_at: from_micros(created_at),
        last_at: None,
        last_outcome: None,
    })
}

/// Sends nothing there any more; `false` when the namespace has no such webhook.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    id: &str,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    let done = sqlx::query("DELETE FROM webhooks WHERE id = $1 AND namespace = $2")
        .bind(id)
        .bind(namespace.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let event =
        Event { actor: permit.actor(), action: "webhook-remove", subject: namespace.as_str(), detail: id };
    audit::record(tx, event).await?;
    Ok(true)
}

/// The webhooks of a namespace, oldest first.
pub(crate) async fn all(db: &Db, namespace: &Namespace) -> Result<Vec<Webhook>, sqlx::Error> {
    let sql = "SELECT id, url, created_at, last_at, last_outcome FROM webhooks WHERE namespace = $1
               ORDER BY created_at, id";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(namespace.as_str()).fetch_all(db.read()).await?;
    let webhook = |row: Row| Webhook {
        id: row.id,
        url: row.url,
        created_at: from_micros(row.created_at),
        last_at: row.last_at.map(from_micros),
        last_outcome: row.last_outcome,
    };
    Ok(rows.into_iter().map(webhook).collect())
}

/// The identifiers of a namespace's webhooks, inside the transaction of what happens.
pub(crate) async fn ids(tx: &mut WriteTx, namespace: &Namespace) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT id FROM webhooks WHERE namespace = $1 ORDER BY id")
        .bind(namespace.as_str())
        .fetch_all(tx.connection())
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Address and secret of a webhook; `None` when it was removed.
pub(crate) async fn target(db: &Db, id: &str) -> Result<Option<(String, String)>, sqlx::Error> {
    sqlx::query_as("SELECT url, secret FROM webhooks WHERE id = $1").bind(id).fetch_optional(db.read()).await
}

/// Notes what came of a delivery.
pub(crate) async fn note(tx: &mut WriteTx, id: &str, outcome: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE webhooks SET last_at = $1, last_outcome = $2 WHERE id = $3")
        .bind(now())
        .bind(outcome)
        .bind(id)
        .execute(tx.connection())
        .await?;
    Ok(())
}
