//! `members`: who belongs to which namespace, as what.

use hub_schemas::{
    api::{Member, Role},
    name::Namespace,
};

use super::{
    Db, WriteTx,
    audit::{self, Event},
    clock::{from_micros, now},
    namespaces, parse,
};
use crate::domain::permissions::{Actor, CreateOrganisation, Leave, ManageMembers, Permit};

/// A role as the database has it.
pub(super) fn role(text: &str) -> Result<Role, sqlx::Error> {
    // What a server of the first release writes, and may do.
    if text == "member" { Ok(Role::Maintainer) } else { parse("role", text) }
}

/// Rows of user, role and time, the strongest role first.
pub(super) fn members(rows: Vec<(String, String, i64)>) -> Result<Vec<Member>, sqlx::Error> {
    let member = |(user, text, since): (String, String, i64)| {
        Ok(Member { user: parse("user_name", &user)?, role: role(&text)?, since: from_micros(since) })
    };
    let mut members = rows.into_iter().map(member).collect::<Result<Vec<_>, sqlx::Error>>()?;
    members.sort_by(|a, b| (b.role, &a.user).cmp(&(a.role, &b.user)));
    Ok(members)
}

/// Everybody who belongs to a namespace.
pub(crate) async fn all(db: &Db, namespace: &Namespace) -> Result<Vec<Member>, sqlx::Error> {
    let rows = sqlx::query_as("SELECT user_name, role, created_at FROM members WHERE namespace = $1")
        .bind(namespace.as_str())
        .fetch_all(db.read())
        .await?;
    members(rows)
}

/// The namespaces of `user`, their own first.
pub(crate) async fn namespaces_of(db: &Db, user: &Namespace) -> Result<Vec<Namespace>, sqlx::Error> {
    let sql = "SELECT namespace FROM namespace_roles WHERE user_name = $1 GROUP BY namespace
               ORDER BY CASE WHEN namespace = $1 THEN 0 ELSE 1 END, namespace";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(user.as_str()).fetch_all(db.read()).await?;
    rows.iter().map(|(name,)| parse("members.namespace", name)).collect()
}

/// What became of a change of somebody's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It is as it was asked for.
    Done,
    /// There is nobody to change.
    Nobody,
    /// Nobody would own the namespace any more, or not whose name it has.
    Ownerless,
}

/// Makes the first member of a new namespace.
pub(crate) async fn found(
    tx: &mut WriteTx,
    permit: &Permit<CreateOrganisation>,
    namespace: &Namespace,
    owner: &Namespace,
) -> Result<(), sqlx::Error> {
    put(tx, namespace, owner, Role::Owner).await?;
    let detail = format!("{owner} as owner");
    let event =
        Event { actor: permit.actor(), action: "member-set", subject: namespace.as_str(), detail: &detail };
    audit::record(tx, event).await
}

/// Gives `user`, who exists, a role in place of the one they have.
pub(crate) async fn set(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    user: &Namespace,
    role: Role,
) -> Result<Changed, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    namespaces::lock(tx, namespace).await?;
    put(tx, namespace, user, role).await?;
    if !is_owned(tx, namespace).await? {
        return Ok(Changed::Ownerless);
    }
    let detail = format!("{user} as {role}");
    let event =
        Event { actor: permit.actor(), action: "member-set", subject: namespace.as_str(), detail: &detail };
    audit::record(tx, event).await?;
    Ok(Changed::Done)
}

/// Takes the role of `user` away.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    permit: &Permit<ManageMembers>,
    namespace: &Namespace,
    user: &Namespace,
) -> Result<Changed, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    take(tx, permit.actor(), namespace, user.as_str()).await
}

/// Takes the role of whoever asks away.
pub(crate) async fn leave(
    tx: &mut WriteTx,
    permit: &Permit<Leave>,
    namespace: &Namespace,
) -> Result<Changed, sqlx::Error> {
    debug_assert!(permit.covers_namespace(namespace), "the handler asked for another namespace");
    take(tx, permit.actor(), namespace, permit.user()).await
}

async fn take(
    tx: &mut WriteTx,
    actor: &Actor,
    namespace: &Namespace,
    user: &str,
) -> Result<Changed, sqlx::Error> {
    namespaces::lock(tx, namespace).await?;
    let done = sqlx::query("DELETE FROM members WHERE namespace = $1 AND user_name = $2")
        .bind(namespace.as_str())
        .bind(user)
        .execute(tx.connection())
        .await?;
    // Whoever leaves an organisation leaves its teams.
    let sql = "DELETE FROM team_members WHERE user_name = $2
               AND team_id IN (SELECT id FROM teams WHERE namespace = $1)";
    let teams = sqlx::query(sql).bind(namespace.as_str()).bind(user).execute(tx.connection()).await?;
    if done.rows_affected() + teams.rows_affected() == 0 {
        return Ok(Changed::Nobody);
    }
    if !is_owned(tx, namespace).await? {
        return Ok(Changed::Ownerless);
    }
    let event = Event { actor, action: "member-remove", subject: namespace.as_str(), detail: user };
    audit::record(tx, event).await?;
    Ok(Changed::Done)
}

async fn put(
    tx: &mut WriteTx,
    namespace: &Namespace,
    user: &Namespace,
    role: Role,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO members (namespace, user_name, role, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (namespace, user_name) DO UPDATE SET role = excluded.role";
    sqlx::query(sql)
        .bind(namespace.as_str())
        .bind(user.as_str())
        .bind(role.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Whether somebody owns a namespace; a user's own, that user. One that is mirrored is
/// answered for where it comes from.
async fn is_owned(tx: &mut WriteTx, namespace: &Namespace) -> Result<bool, sqlx::Error> {
    let sql = "SELECT (SELECT COUNT(*) FROM members WHERE namespace = $1 AND role = 'owner'
                       AND (user_name = $1 OR NOT EXISTS (SELECT 1 FROM users WHERE name = $1)))
                    + (SELECT COUNT(*) FROM mirrored_adapters m JOIN adapters a ON a.id = m.adapter_id
                       WHERE a.namespace = $1)";
    let (owners,): (i64,) = sqlx::query_as(sql).bind(namespace.as_str()).fetch_one(tx.connection()).await?;
    Ok(owners > 0)
}
