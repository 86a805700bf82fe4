//! What a caller is somewhere: the only place where a [`Resource`] with a role is made.

use hub_schemas::{
    api::Role,
    name::{AdapterId, Namespace},
};

use super::{Db, members::role};
use crate::domain::permissions::{Caller, Resource};

/// A namespace and the caller's role in it; `None` when there is no such namespace.
pub(crate) async fn in_namespace(
    db: &Db,
    caller: &Caller,
    name: &Namespace,
) -> Result<Option<Resource>, sqlx::Error> {
    let sql = "SELECT m.role FROM namespaces n
               LEFT JOIN members m ON m.namespace = n.name AND m.user_name = $2 WHERE n.name = $1";
    let found: Option<(Option<String>,)> = sqlx::query_as(sql)
        .bind(name.as_str())
        .bind(caller.user().as_str())
        .fetch_optional(db.read())
        .await?;
    let Some((found,)) = found else { return Ok(None) };
    let role = found.as_deref().map(role).transpose()?;
    Ok(Some(Resource::Namespace { name: name.clone(), role }))
}

/// An adapter, or the name of one to be, and the caller's role there.
pub(crate) async fn on_adapter(db: &Db, caller: &Caller, id: &AdapterId) -> Result<Resource, sqlx::Error> {
    let sql = "SELECT (SELECT m.role FROM members m WHERE m.namespace = $1 AND m.user_name = $3),
                      (SELECT c.role FROM collaborators c JOIN adapters a ON a.id = c.adapter_id
                       WHERE a.namespace = $1 AND a.name = $2 AND c.user_name = $3),
                      (SELECT a.id FROM adapters a WHERE a.namespace = $1 AND a.name = $2)";
    let (member, collaborator, adapter): (Option<String>, Option<String>, Option<String>) =
        sqlx::query_as(sql)
            .bind(id.namespace.as_str())
            .bind(id.name.as_str())
            .bind(caller.user().as_str())
            .fetch_one(db.read())
            .await?;
    let parsed = |text: Option<String>| text.as_deref().map(role).transpose();
    // `None` is weaker than every role.
    let role: Option<Role> = parsed(member)?.max(parsed(collaborator)?);
    Ok(Resource::Adapter { id: id.clone(), role, exists: adapter.is_some() })
}
