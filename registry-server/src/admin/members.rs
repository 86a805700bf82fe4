//! `hub-server namespace …`

use hub_schemas::{api::Role, name::Namespace};

use super::AdminError;
use crate::{
    app::App,
    db::{
        WriteTx,
        members::{self, Changed},
        namespaces, users,
    },
    domain::permissions::{Actor, CreateOrganisation, ManageMembers, Permit, Resource, may},
};

/// Makes a namespace that belongs to `owner`.
pub async fn add_namespace(app: &App, name: &Namespace, owner: &Namespace) -> Result<(), AdminError> {
    let permit = may(&Actor::Operator, CreateOrganisation, &Resource::Registry)?;
    let mut tx = app.db.write().await?;
    require_user(&mut tx, owner).await?;
    if !namespaces::insert(&mut tx, &permit, name).await? {
        return Err(AdminError::NamespaceExists(name.clone()));
    }
    members::found(&mut tx, &permit, name, owner).await?;
    tx.commit().await?;
    tracing::info!(namespace.name = %name, "Added the namespace `{name}`, owned by `{owner}`");
    Ok(())
}

/// Gives `user` a role in a namespace, in place of the one they have.
pub async fn add_member(
    app: &App,
    namespace: &Namespace,
    user: &Namespace,
    role: Role,
) -> Result<(), AdminError> {
    let permit = permit(namespace)?;
    let mut tx = app.db.write().await?;
    require_namespace(&mut tx, namespace).await?;
    require_user(&mut tx, user).await?;
    let changed = members::set(&mut tx, &permit, namespace, user, role).await?;
    settled(changed, namespace, user)?;
    tx.commit().await?;
    tracing::info!(namespace.name = %namespace, "`{user}` is {role} of `{namespace}`");
    Ok(())
}

/// Takes the role of `user` in a namespace away.
pub async fn remove_member(app: &App, namespace: &Namespace, user: &Namespace) -> Result<(), AdminError> {
    let permit = permit(namespace)?;
    let mut tx = app.db.write().await?;
    require_namespace(&mut tx, namespace).await?;
    let changed = members::remove(&mut tx, &permit, namespace, user).await?;
    settled(changed, namespace, user)?;
    tx.commit().await?;
    tracing::info!(namespace.name = %namespace, "`{user}` is no member of `{namespace}` any more");
    Ok(())
}

fn permit(namespace: &Namespace) -> Result<Permit<ManageMembers>, AdminError> {
    let resource = Resource::Namespace { name: namespace.clone(), role: None };
    Ok(may(&Actor::Operator, ManageMembers, &resource)?)
}

fn settled(changed: Changed, namespace: &Namespace, user: &Namespace) -> Result<(), AdminError> {
    match changed {
        Changed::Done => Ok(()),
        Changed::Nobody => Err(AdminError::NotAMember { namespace: namespace.clone(), user: user.clone() }),
        Changed::Ownerless => Err(AdminError::Ownerless { namespace: namespace.clone(), user: user.clone() }),
    }
}

async fn require_user(tx: &mut WriteTx, name: &Namespace) -> Result<(), AdminError> {
    if users::exists(tx, name).await? { Ok(()) } else { Err(AdminError::NoUser(name.clone())) }
}

async fn require_namespace(tx: &mut WriteTx, name: &Namespace) -> Result<(), AdminError> {
    if namespaces::exists(tx, name).await? { Ok(()) } else { Err(AdminError::NoNamespace(name.clone())) }
}
