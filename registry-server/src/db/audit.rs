//! `audit`: one row per mutation.

use hub_schemas::api::AuditRecord;
use time::OffsetDateTime;

use super::{
    Db, WriteTx,
    clock::{from_micros, now},
    new_id,
};
use crate::domain::permissions::Actor;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    /// Who did it.
    pub(crate) actor: &'a Actor,
    /// What they did, such as `publish`.
    pub(crate) action: &'static str,
    /// To what.
    pub(crate) subject: &'a str,
    /// With which values.
    pub(crate) detail: &'a str,
}

/// Writes the row, in the transaction of the mutation itself.
pub(crate) async fn record(tx: &mut WriteTx, event: Event<'_>) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO audit (id, at, actor, action, subject, detail, token_id)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(new_id())
        .bind(now())
        .bind(event.actor.name())
        .bind(event.action)
        .bind(event.subject)
        .bind(event.detail)
        .bind(event.actor.token_id())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// At most `limit` records after the record `after`, oldest first; an empty `actor` is everybody.
pub(crate) async fn page(
    db: &Db,
    after: &str,
    actor: &str,
    limit: u32,
) -> Result<Vec<AuditRecord>, sqlx::Error> {
    type Row = (String, i64, String, Option<String>, String, String, String);
    let sql = "SELECT id, at, actor, token_id, action, subject, detail FROM audit
               WHERE id > $1 AND ($2 = '' OR actor = $2) ORDER BY id LIMIT $3";
    let rows: Vec<Row> =
        sqlx::query_as(sql).bind(after).bind(actor).bind(i64::from(limit)).fetch_all(db.read()).await?;
    let record = |(id, at, actor, token_id, action, subject, detail)| AuditRecord {
        id,
        at: from_micros(at),
        actor,
        token_id,
        action,
        subject,
        detail,
    };
    Ok(rows.into_iter().map(record).collect())
}

/// When `actor` did `action` after `since`, oldest first.
pub(crate) async fn times_of(
    db: &Db,
    actor: &str,
    action: &str,
    since: i64,
) -> Result<Vec<OffsetDateTime>, sqlx::Error> {
    let sql = "SELECT at FROM audit WHERE at > $1 AND actor = $2 AND action = $3 ORDER BY at";
    let rows: Vec<(i64,)> =
        sqlx::query_as(sql).bind(since).bind(actor).bind(action).fetch_all(db.read()).await?;
    Ok(rows.into_iter().map(|(at,)| from_micros(at)).collect())
}
