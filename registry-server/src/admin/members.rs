//! `hub-server namespace …`

use hub_schemas::name::Namespace;

use super::AdminError;
use crate::{
    app::App,
    db::{
        members::{self, Role},
        namespaces, users,
    },
    domain::permissions::OperatorPermit,
};

/// Makes a namespace that belongs to `owner`.
pub async fn add_namespace(app: &App, name: &Namespace, owner: &Namespace) -> Result<(), AdminError> {
    let permit = OperatorPermit::command_line();
    let mut tx = app.db.write().await?;
    if !users::exists(&mut tx, owner).await? {
        return Err(AdminError::NoUser(owner.clone()));
    }
    if !namespaces::insert(&mut tx, &permit, name).await? {
        return Err(AdminError::NamespaceExists(name.clone()));
    }
    members::insert(&mut tx, &permit, name, owner, Role::Owner).await?;
    tx.commit().await?;
    tracing::info!(namespace.name = %name, "Added the namespace `{name}`, owned by `{owner}`");
    Ok(())
}

/// Makes `user` a member of a namespace; who is one already stays one.
pub async fn add_member(app: &App, namespace: &Namespace, user: &Namespace) -> Result<(), AdminError> {
    let permit = OperatorPermit::command_line();
    let mut tx = app.db.write().await?;
    if !namespaces::exists(&mut tx, namespace).await? {
        return Err(AdminError::NoNamespace(namespace.clone()));
    }
    if !users::exists(&mut tx, user).await? {
        return Err(AdminError::NoUser(user.clone()));
    }
    members::insert(&mut tx, &permit, namespace, user, Role::Member).await?;
    tx.commit().await?;
    tracing::info!(namespace.name = %namespace, "`{user}` is a member of `{namespace}`");
    Ok(())
}
