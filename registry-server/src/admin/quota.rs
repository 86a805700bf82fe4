//! `hub-server namespace quota`

use hub_schemas::name::Namespace;

use super::AdminError;
use crate::{
    app::App,
    db::{namespaces, quotas},
    domain::{
        permissions::{Actor, Administer, Resource, may},
        quota::Quota,
    },
};

/// Sets how much a namespace may hold.
pub async fn set_quota(app: &App, namespace: &Namespace, quota: Quota) -> Result<(), AdminError> {
    let permit = may(&Actor::Operator, Administer, &Resource::Registry)?;
    let mut tx = app.db.write().await?;
    if !namespaces::exists(&mut tx, namespace).await? {
        return Err(AdminError::NoNamespace(namespace.clone()));
    }
    quotas::set(&mut tx, &permit, namespace, quota).await?;
    tx.commit().await?;
    tracing::info!(namespace.name = %namespace, "`{namespace}` may hold {quota}");
    Ok(())
}
