//! `members`: who belongs to which namespace.

use hub_schemas::name::Namespace;

use super::{
    Db, WriteTx,
    audit::{self, Event, OPERATOR},
    clock::now,
    parse,
};
use crate::domain::permissions::{Membership, OperatorPermit};

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Answers for the namespace.
    Owner,
    /// Publishes in it.
    Member,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }
}

/// The membership of `user` in `namespace`, when there is one.
pub(crate) async fn find(
    db: &Db,
    user: &Namespace,
    namespace: &Namespace,
) -> Result<Option<Membership>, sqlx::Error> {
    let found: Option<(String,)> =
        sqlx::query_as("SELECT role FROM members WHERE namespace = $1 AND user_name = $2")
            .bind(namespace.as_str())
            .bind(user.as_str())
            .fetch_optional(db.read())
            .await?;
    Ok(found.map(|_| Membership::new(namespace.clone())))
}

/// The namespaces of `user`, their own first.
pub(crate) async fn namespaces_of(db: &Db, user: &Namespace) -> Result<Vec<Namespace>, sqlx::Error> {
    let sql = "SELECT namespace FROM members WHERE user_name = $1
               ORDER BY CASE WHEN namespace = user_name THEN 0 ELSE 1 END, namespace";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(user.as_str()).fetch_all(db.read()).await?;
    rows.iter().map(|(name,)| parse("members.namespace", name)).collect()
}

/// Makes `user` a member of `namespace`; `false` when they are one already.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    _permit: &OperatorPermit,
    namespace: &Namespace,
    user: &Namespace,
    role: Role,
) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO members (namespace, user_name, role, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(namespace.as_str())
        .bind(user.as_str())
        .bind(role.as_str())
        .bind(now())
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let detail = format!("{user} as {}", role.as_str());
    let event = Event { actor: OPERATOR, action: "member-add", subject: namespace.as_str(), detail: &detail };
    audit::record(tx, event).await?;
    Ok(true)
}
