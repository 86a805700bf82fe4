//! `trusted_publishers` and `exchanged_tokens`: who publishes with identity tokens.

use std::collections::BTreeMap;

use hub_schemas::{
    api::{CreatePublisher, Publisher},
    name::{AdapterId, Namespace},
};

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::{from_micros, now},
    new_id, parse,
};
use crate::domain::permissions::{ManagePublishers, Permit};

/// Everybody who is trusted with publishing `id`, oldest first.
pub(crate) async fn all(db: &Db, id: &AdapterId) -> Result<Vec<Publisher>, sqlx::Error> {
    type Row = (String, String, String, String, i64);
    let sql = "SELECT id, issuer, claims, created_by, created_at FROM trusted_publishers
               WHERE namespace = $1 AND name = $2 ORDER BY created_at, id";
    let rows: Vec<Row> =
        sqlx::query_as(sql).bind(id.namespace.as_str()).bind(id.name.as_str()).fetch_all(db.read()).await?;
    rows.into_iter()
        .map(|(id, issuer, claims, user, at)| {
            let claims: BTreeMap<String, String> =
                serde_json::from_str(&claims).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
            let created_by = parse("trusted_publishers.created_by", &user)?;
            Ok(Publisher { id, issuer, claims, created_by, created_at: from_micros(at) })
        })
        .collect()
}

/// Trusts programs with publishing `id`, with the rights of `user`.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    permit: &Permit<ManagePublishers>,
    id: &AdapterId,
    user: &Namespace,
    wanted: CreatePublisher,
) -> Result<Publisher, sqlx::Error> {
    debug_assert!(permit.covers(id), "the handler asked for another adapter");
    let CreatePublisher { issuer, claims } = wanted;
    let text = serde_json::to_string(&claims).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    let (key, created_at) = (new_id(), now());
    let sql = "INSERT INTO trusted_publishers (id, namespace, name, issuer, claims, created_by, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(key.as_str())
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(issuer.as_str())
        .bind(text.as_str())
        .bind(user.as_str())
        .bind(created_at)
        .execute(tx.connection())
        .await?;
    let (subject, detail) = (id.to_string(), format!("{key} of {issuer} with {text}"));
    let event = Event { actor: permit.actor(), action: "publisher-add", subject: &subject, detail: &detail };
    audit::record(tx, event).await?;
    let created_at = from_micros(created_at);
    Ok(Publisher { id: key, issuer, claims, created_by: user.clone(), created_at })
}

/// Trusts a publisher no more; `false` where `id` has none of this key.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<ManagePublishers>,
    id: &AdapterId,
    key: &str,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(id), "the handler asked for another adapter");
    let sql = "DELETE FROM trusted_publishers WHERE id = $1 AND namespace = $2 AND name = $3";
    let done = sqlx::query(sql)
        .bind(key)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let subject = id.to_string();
    let event = Event { actor: permit.actor(), action: "publisher-remove", subject: &subject, detail: key };
    audit::record(tx, event).await?;
    Ok(true)
}

/// Takes those who are trusted with a name along to another one of its namespace; those of
/// another namespace, and of a deleted adapter (`to` is nothing), are trusted no more.
pub(super) async fn follow(
    tx: &mut WriteTx,
    from: &AdapterId,
    to: Option<&AdapterId>,
) -> Result<(), sqlx::Error> {
    let sql = match to {
        Some(to) if to.namespace == from.namespace => {
            "UPDATE trusted_publishers SET name = $3 WHERE namespace = $1 AND name = $2"
        }
        _ => "DELETE FROM trusted_publishers WHERE namespace = $1 AND name = $2 AND $3 = $3",
    };
    sqlx::query(sql)
        .bind(from.namespace.as_str())
        .bind(from.name.as_str())
        .bind(to.map_or("", |to| to.name.as_str()))
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Notes until `remember_until` (seconds since 1970) that an identity token was exchanged; `false`
/// where it was before.
pub(crate) async fn exchange(
    tx: &mut WriteTx,
    issuer: &str,
    jti: &str,
    remember_until: i64,
) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO exchanged_tokens (issuer, jti, expires_at) VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(issuer)
        .bind(jti)
        .bind(remember_until.saturating_mul(1_000_000))
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets identity tokens that have expired everywhere: nobody takes them again anyway.
pub(crate) async fn forget_exchanged(tx: &mut WriteTx) -> Result<u64, sqlx::Error> {
    let sql = "DELETE FROM exchanged_tokens WHERE expires_at < $1";
    Ok(sqlx::query(sql).bind(now()).execute(tx.connection()).await?.rows_affected())
}
