//! `hub-server name …` and `hub-server adapter …`

use hub_schemas::name::{AdapterId, Namespace};

use super::{AdminError, print};
use crate::{
    app::App,
    db::{adapters, listings, reserved},
    domain::permissions::{Actor, Administer, Permit, Resource, may},
};

/// Keeps a name of a namespace back.
pub async fn reserve_name(app: &App, name: &Namespace, reason: &str) -> Result<(), AdminError> {
    let mut tx = app.db.write().await?;
    reserved::insert(&mut tx, &permit()?, name, reason).await?;
    tx.commit().await?;
    tracing::info!(namespace.name = %name, "Nobody can take the name `{name}`");
    Ok(())
}

/// Lets a name go.
pub async fn release_name(app: &App, name: &Namespace) -> Result<(), AdminError> {
    let mut tx = app.db.write().await?;
    if !reserved::remove(&mut tx, &permit()?, name).await? {
        return Err(AdminError::NotReserved(name.clone()));
    }
    tx.commit().await?;
    tracing::info!(namespace.name = %name, "The name `{name}` can be taken");
    Ok(())
}

/// Prints the names that are kept back.
pub async fn list_names(app: &App) -> Result<(), AdminError> {
    for (name, reason) in reserved::all(&app.db).await? {
        print(&format!("{name}\t{reason}"))?;
    }
    Ok(())
}

/// Takes an adapter out of circulation with a reason, or without one brings it back.
pub async fn quarantine(app: &App, id: &AdapterId, reason: Option<&str>) -> Result<(), AdminError> {
    let permit = permit()?;
    let no_adapter = || AdminError::NoAdapter(id.clone());
    let adapter = adapters::find_any(&app.db, &permit, id).await?.ok_or_else(no_adapter)?;
    let mut tx = app.db.write().await?;
    let adapter = adapters::set_quarantine(&mut tx, &permit, adapter, reason).await?;
    listings::refresh(&mut tx, &adapter).await?;
    tx.commit().await?;
    let now = if reason.is_some() { "in quarantine" } else { "out of quarantine" };
    tracing::info!("`{id}` is {now}");
    Ok(())
}

fn permit() -> Result<Permit<Administer>, AdminError> {
    Ok(may(&Actor::Operator, Administer, &Resource::Registry)?)
}
