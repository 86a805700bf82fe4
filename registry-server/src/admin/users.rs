//! `hub-server user …`

use hub_schemas::name::Namespace;

use super::{AdminError, print};
use crate::{
    app::App,
    db::{identities, passwords, users},
    domain::{
        password,
        permissions::{Actor, Administer, CreateOrganisation, ManageAccount, Resource, may},
    },
};

/// Makes a user and the namespace of their name.
pub async fn add_user(app: &App, name: &Namespace) -> Result<(), AdminError> {
    let permit = may(&Actor::Operator, Administer, &Resource::Registry)?;
    let founding = may(&Actor::Operator, CreateOrganisation, &Resource::Registry)?;
    let mut tx = app.db.write().await?;
    if users::exists(&mut tx, name).await? {
        return Err(AdminError::UserExists(name.clone()));
    }
    if !users::found(&mut tx, &permit, &founding, name).await? {
        return Err(AdminError::NamespaceExists(name.clone()));
    }
    tx.commit().await?;
    tracing::info!(user.name = %name, "Added the user `{name}`");
    Ok(())
}

/// Lets a user run the registry, or no more.
pub async fn set_administrator(app: &App, name: &Namespace, administrator: bool) -> Result<(), AdminError> {
    let permit = may(&Actor::Operator, Administer, &Resource::Registry)?;
    let mut tx = app.db.write().await?;
    if !users::set_administrator(&mut tx, &permit, name, administrator).await? {
        return Err(AdminError::NoUser(name.clone()));
    }
    tx.commit().await?;
    let now = if administrator { "an administrator" } else { "no administrator" };
    tracing::info!(user.name = %name, "`{name}` is {now}");
    Ok(())
}

/// Sets a user's password, whatever they had; without one, they log in with tokens alone.
pub async fn set_password(app: &App, name: &Namespace, new: Option<&str>) -> Result<(), AdminError> {
    let permit = may(&Actor::Operator, ManageAccount, &Resource::Account(name.clone()))?;
    let hash = match new {
        Some(new) => {
            password::check(new, name)?;
            Some(password::hash(new, &mut rand::rng())?)
        }
        None => None,
    };
    let mut tx = app.db.write().await?;
    if !users::exists(&mut tx, name).await? {
        return Err(AdminError::NoUser(name.clone()));
    }
    match hash {
        Some(hash) => passwords::replace(&mut tx, &permit, name, &hash).await?,
        None => {
            passwords::remove(&mut tx, &permit, name).await?;
        }
    }
    tx.commit().await?;
    tracing::info!(user.name = %name, "Changed the password of `{name}`");
    Ok(())
}

/// Lets somebody of an identity provider log in as a user.
pub async fn link_identity(
    app: &App,
    name: &Namespace,
    issuer: &str,
    subject: &str,
) -> Result<(), AdminError> {
    if !app.logins.issuers.has(issuer) {
        return Err(AdminError::NoProvider(issuer.to_owned()));
    }
    let permit = may(&Actor::Operator, ManageAccount, &Resource::Account(name.clone()))?;
    let mut tx = app.db.write().await?;
    if !users::exists(&mut tx, name).await? {
        return Err(AdminError::NoUser(name.clone()));
    }
    if !identities::link(&mut tx, &permit, name, issuer, subject).await? {
        return Err(AdminError::Linked { issuer: issuer.to_owned(), subject: subject.to_owned() });
    }
    tx.commit().await?;
    tracing::info!(user.name = %name, "`{subject}` of `{issuer}` logs in as `{name}`");
    Ok(())
}

/// Takes that back, for every identity of a user.
pub async fn unlink_identities(app: &App, name: &Namespace) -> Result<(), AdminError> {
    let permit = may(&Actor::Operator, ManageAccount, &Resource::Account(name.clone()))?;
    let linked = identities::of_user(&app.db, name).await?;
    let mut tx = app.db.write().await?;
    for identity in &linked {
        identities::unlink(&mut tx, &permit, name, &identity.id).await?;
    }
    tx.commit().await?;
    tracing::info!(user.name = %name, "Unlinked {} identities of `{name}`; tokens go on working", linked.len());
    Ok(())
}

/// Prints every user.
pub async fn list_users(app: &App) -> Result<(), AdminError> {
    for user in users::all(&app.db).await? {
        let role = if user.administrator { "\tadministrator" } else { "" };
        print(&format!("{}\tsince {}{role}", user.name, user.created_at.date()))?;
    }
    Ok(())
}
