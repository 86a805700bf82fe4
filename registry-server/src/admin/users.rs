//! `hub-server user …`

use hub_schemas::name::Namespace;

use super::{AdminError, print};
use crate::{
    app::App,
    db::{
        members::{self, Role},
        namespaces, users,
    },
    domain::permissions::OperatorPermit,
};

/// Makes a user and the namespace of their name.
pub async fn add_user(app: &App, name: &Namespace) -> Result<(), AdminError> {
    let permit = OperatorPermit::command_line();
    let mut tx = app.db.write().await?;
    if users::exists(&mut tx, name).await? {
        return Err(AdminError::UserExists(name.clone()));
    }
    if !namespaces::insert(&mut tx, &permit, name).await? {
        return Err(AdminError::NamespaceExists(name.clone()));
    }
    users::insert(&mut tx, &permit, name).await?;
    members::insert(&mut tx, &permit, name, name, Role::Owner).await?;
    tx.commit().await?;
    tracing::info!(user.name = %name, "Added the user `{name}`");
    Ok(())
}

/// Prints every user.
pub async fn list_users(app: &App) -> Result<(), AdminError> {
    for user in users::all(&app.db).await? {
        print(&format!("{}\tsince {}", user.name, user.created_at.date()))?;
    }
    Ok(())
}
