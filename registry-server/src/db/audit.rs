//! `audit`: one row per mutation.

use super::{WriteTx, clock::now, new_id};

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    /// Who did it: a user, or `operator`.
    pub(crate) actor: &'a str,
    /// What they did, such as `publish`.
    pub(crate) action: &'static str,
    /// To what.
    pub(crate) subject: &'a str,
    /// With which values.
    pub(crate) detail: &'a str,
}

/// Who acts on the machine's own command line.
pub(crate) const OPERATOR: &str = "operator";

/// Writes the row, in the transaction of the mutation itself.
pub(crate) async fn record(tx: &mut WriteTx, event: Event<'_>) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO audit (id, at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(new_id())
        .bind(now())
        .bind(event.actor)
        .bind(event.action)
        .bind(event.subject)
        .bind(event.detail)
        .execute(tx.connection())
        .await?;
    Ok(())
}
