//! `audit`: one row per mutation.

use super::{WriteTx, clock::now, new_id};
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
