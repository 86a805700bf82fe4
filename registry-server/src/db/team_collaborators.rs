//! `team_collaborators`: which teams of its organisation have a role on an adapter.

use hub_schemas::{
    api::{Role, TeamRole},
    name::TeamName,
};

use super::{
    Db, WriteTx,
    adapters::VisibleAdapter,
    clock::{from_micros, now},
    collaborators::note,
    members::role as parse_role,
    parse, teams,
};
use crate::domain::permissions::{ManageCollaborators, Permit};

/// The teams with a role on an adapter, by name.
pub(crate) async fn all(db: &Db, adapter: &VisibleAdapter) -> Result<Vec<TeamRole>, sqlx::Error> {
    let sql = "SELECT t.name, c.role, c.created_at FROM team_collaborators c JOIN teams t ON t.id = c.team_id
               WHERE c.adapter_id = $1 ORDER BY t.name";
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as(sql).bind(adapter.key()).fetch_all(db.read()).await?;
    rows.into_iter()
        .map(|(team, role, since)| {
            let (team, role) = (parse("teams.name", &team)?, parse_role(&role)?);
            Ok(TeamRole { team, role, since: from_micros(since) })
        })
        .collect()
}

/// Gives a team a role on an adapter, in place of the one it has; `false` when the adapter's
/// organisation has no such team.
pub(crate) async fn set(
    tx: &mut WriteTx,
    permit: &Permit<ManageCollaborators>,
    adapter: &VisibleAdapter,
    team: &TeamName,
    role: Role,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let Some(id) = teams::id(tx, &adapter.id.namespace, team).await? else { return Ok(false) };
    let sql = "INSERT INTO team_collaborators (adapter_id, team_id, role, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (adapter_id, team_id) DO UPDATE SET role = excluded.role";
    sqlx::query(sql)
        .bind(adapter.key())
        .bind(id)
        .bind(role.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    note(tx, permit, adapter, ("collaborator-set", &format!("@{team} as {role}"))).await?;
    Ok(true)
}

/// Takes a team's role on an adapter away; `false` when it had none.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<ManageCollaborators>,
    adapter: &VisibleAdapter,
    team: &TeamName,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers(&adapter.id), "the handler asked for another adapter");
    let Some(id) = teams::id(tx, &adapter.id.namespace, team).await? else { return Ok(false) };
    let sql = "DELETE FROM team_collaborators WHERE adapter_id = $1 AND team_id = $2";
    let done = sqlx::query(sql).bind(adapter.key()).bind(id).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    note(tx, permit, adapter, ("collaborator-remove", &format!("@{team}"))).await?;
    Ok(true)
}

/// Takes every team's role on an adapter away, which leaves their organisation or is deleted.
pub(super) async fn clear(tx: &mut WriteTx, adapter: &VisibleAdapter) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM team_collaborators WHERE adapter_id = $1")
        .bind(adapter.key())
        .execute(tx.connection())
        .await?;
    Ok(())
}
