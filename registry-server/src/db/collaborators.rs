//! `collaborators`: who has a role for one adapter.

use hub_schemas::{
    api::{Member, Role},
    name::{AdapterId, Namespace},
};

use super::{
    Db, WriteTx, adapter_id,
    adapters::VisibleAdapter,
    audit::{self, Event},
    clock::now,
    members,
};
use crate::domain::permissions::{ManageCollaborators, Permit};

/// Everybody with a role for one adapter.
pub(crate) async fn all(db: &Db, adapter: &VisibleAdapter) -> Result<Vec<Member>, sqlx::Error> {
    let rows = sqlx::query_as("SELECT user_name, role, created_at FROM collaborators WHERE adapter_id = $1")
        .bind(adapter.key())
        .fetch_all(db.read())
        .await?;
    members::members(rows)
}

/// The adapters that `user` collaborates on, by themselves or with a team, by name.
pub(crate) async fn adapters_of(db: &Db, user: &Namespace) -> Result<Vec<AdapterId>, sqlx::Error> {
    let sql = "SELECT a.namespace, a.name FROM adapter_roles c JOIN adapters a ON a.id = c.adapter_id
               WHERE c.user_name = $1 GROUP BY a.namespace, a.name ORDER BY a.namespace, a.name";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).bind(user.as_str()).fetch_all(db.read()).await?;
    rows.iter().map(|(namespace, name)| adapter_id(namespace, name)).collect()
}

/// Gives `user`, who exists, a role in place of the one they have.
pub(crate) async fn set(
    tx: &mut WriteTx,
    permit: &Permit<ManageCollaborators>,
    adapter: &VisibleAdapter,
    user: &Namespace,
    role: Role,
) -> Result<(), sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let sql = "INSERT INTO collaborators (adapter_id, user_name, role, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (adapter_id, user_name) DO UPDATE SET role = excluded.role";
    sqlx::query(sql)
        .bind(adapter.key())
        .bind(user.as_str())
        .bind(role.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    note(tx, permit, adapter, ("collaborator-set", &format!("{user} as {role}"))).await
}

/// Takes the role of `user` away; `false` when they had none.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<ManageCollaborators>,
    adapter: &VisibleAdapter,
    user: &Namespace,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let done = sqlx::query("DELETE FROM collaborators WHERE adapter_id = $1 AND user_name = $2")
        .bind(adapter.key())
        .bind(user.as_str())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    note(tx, permit, adapter, ("collaborator-remove", user.as_str())).await?;
    Ok(true)
}

/// Writes down what became of the role of a user or of a team.
pub(super) async fn note(
    tx: &mut WriteTx,
    permit: &Permit<ManageCollaborators>,
    adapter: &VisibleAdapter,
    (action, detail): (&'static str, &str),
) -> Result<(), sqlx::Error> {
    let subject = adapter.id.to_string();
    audit::record(tx, Event { actor: permit.actor(), action, subject: &subject, detail }).await
}
