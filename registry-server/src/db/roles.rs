//! What a caller is somewhere, by themselves and by their teams: the only place where a
//! [`Resource`] with a role is made.

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
               LEFT JOIN namespace_roles m ON m.namespace = n.name AND m.user_name = $2 WHERE n.name = $1";
    let found: Vec<(Option<String>,)> =
        sqlx::query_as(sql).bind(name.as_str()).bind(caller.user().as_str()).fetch_all(db.read()).await?;
    if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(Resource::Namespace { name: name.clone(), role: strongest(found)? }))
}

/// An adapter, or the name of one to be, and the caller's role there.
pub(crate) async fn on_adapter(db: &Db, caller: &Caller, id: &AdapterId) -> Result<Resource, sqlx::Error> {
    let sql = "SELECT m.role, 0 FROM namespace_roles m WHERE m.namespace = $1 AND m.user_name = $3
               UNION ALL
               SELECT c.role, 0 FROM adapter_roles c JOIN adapters a ON a.id = c.adapter_id
               WHERE a.namespace = $1 AND a.name = $2 AND c.user_name = $3
               UNION ALL
               SELECT NULL, 1 FROM adapters a
               WHERE a.namespace = $1 AND a.name = $2 AND a.deleted_at IS NULL";
    let rows: Vec<(Option<String>, i64)> = sqlx::query_as(sql)
        .bind(id.namespace.as_str())
        .bind(id.name.as_str())
        .bind(caller.user().as_str())
        .fetch_all(db.read())
        .await?;
    let exists = rows.iter().any(|(_, adapter)| *adapter == 1);
    let role = strongest(rows.into_iter().map(|(role, _)| (role,)))?;
    Ok(Resource::Adapter { id: id.clone(), role, exists })
}

/// The strongest of several roles; `None` is weaker than every one.
fn strongest(roles: impl IntoIterator<Item = (Option<String>,)>) -> Result<Option<Role>, sqlx::Error> {
    let parsed = roles.into_iter().map(|(text,)| text.as_deref().map(role).transpose());
    Ok(parsed.collect::<Result<Vec<_>, _>>()?.into_iter().max().flatten())
}
