//! `teams` and `team_members`: named sets of people in an organisation.

use std::collections::BTreeMap;

use hub_schemas::{
    api::{Role, Team},
    name::{Namespace, TeamName},
};

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::{from_micros, now},
    members::role,
    new_id, parse,
};
use crate::domain::permissions::{ManageMembers, Permit};

/// The teams of a namespace with their people, by name.
pub(crate) async fn all(db: &Db, namespace: &Namespace) -> Result<Vec<Team>, sqlx::Error> {
    type Row = (String, Option<String>, i64, Option<String>);
    let sql = "SELECT t.name, t.role, t.created_at, m.user_name FROM teams t
               LEFT JOIN team_members m ON m.team_id = t.id WHERE t.namespace = $1 ORDER BY t.name, m.user_name";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(namespace.as_str()).fetch_all(db.read()).await?;
    let mut teams: BTreeMap<String, Team> = BTreeMap::new();
    for (name, has, since, user) in rows {
        let team = match teams.entry(name) {
            std::collections::btree_map::Entry::Occupied(team) => team.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let name = parse("teams.name", place.key())?;
                let role = has.as_deref().map(role).transpose()?;
                place.insert(Team { name, role, members: Vec::new(), since: from_micros(since) })
            }
        };
        team.members.extend(user.map(|user| parse("team_members.user_name", &user)).transpose()?);
    }
    Ok(teams.into_values().collect())
}

/// Makes a team, or changes what its people are in the namespace.
pub(crate) async fn set(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    team: &TeamName,
    role: Option<Role>,
) -> Result<(), sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    let sql = "INSERT INTO teams (id, namespace, name, role, created_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (namespace, name) DO UPDATE SET role = excluded.role";
    sqlx::query(sql)
        .bind(new_id())
        .bind(namespace.as_str())
        .bind(team.as_str())
        .bind(role.map(Role::as_str))
        .bind(now())
        .execute(tx.connection())
        .await?;
    let detail = role.map_or_else(|| format!("{team} without a role"), |role| format!("{team} as {role}"));
    let event =
        Event { actor: permit.actor(), action: "team-set", subject: namespace.as_str(), detail: &detail };
    audit::record(tx, event).await
}

/// Removes a team with its roles; `false` when there is none of this name.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    team: &TeamName,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    let Some(id) = id(tx, namespace, team).await? else { return Ok(false) };
    for sql in [
        "DELETE FROM team_collaborators WHERE team_id = $1",
        "DELETE FROM team_members WHERE team_id = $1",
        "DELETE FROM teams WHERE id = $1",
    ] {
        sqlx::query(sql).bind(id.as_str()).execute(tx.connection()).await?;
    }
    let (subject, detail) = (namespace.as_str(), team.as_str());
    audit::record(tx, Event { actor: permit.actor(), action: "team-remove", subject, detail }).await?;
    Ok(true)
}

/// Puts `user`, who exists, into a team; `false` when there is none of this name.
pub(crate) async fn add_member(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    team: &TeamName,
    user: &Namespace,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    let Some(id) = id(tx, namespace, team).await? else { return Ok(false) };
    let sql = "INSERT INTO team_members (team_id, user_name, created_at) VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(id).bind(user.as_str()).bind(now()).execute(tx.connection()).await?;
    if done.rows_affected() > 0 {
        let detail = format!("{user} in {team}");
        let (subject, detail) = (namespace.as_str(), detail.as_str());
        audit::record(tx, Event { actor: permit.actor(), action: "team-member-add", subject, detail })
            .await?;
    }
    Ok(true)
}

/// Takes `user` out of a team; `false` when they are not in it.
pub(crate) async fn remove_member(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    team: &TeamName,
    user: &Namespace,
) -> Result<bool, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    let Some(id) = id(tx, namespace, team).await? else { return Ok(false) };
    let sql = "DELETE FROM team_members WHERE team_id = $1 AND user_name = $2";
    let done = sqlx::query(sql).bind(id).bind(user.as_str()).execute(tx.connection()).await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let detail = format!("{user} in {team}");
    let (subject, detail) = (namespace.as_str(), detail.as_str());
    audit::record(tx, Event { actor: permit.actor(), action: "team-member-remove", subject, detail }).await?;
    Ok(true)
}

/// The primary key of a team.
pub(super) async fn id(
    tx: &mut WriteTx,
    namespace: &Namespace,
    team: &TeamName,
) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT id FROM teams WHERE namespace = $1 AND name = $2")
        .bind(namespace.as_str())
        .bind(team.as_str())
        .fetch_optional(tx.connection())
        .await?;
    Ok(found.map(|(id,)| id))
}
