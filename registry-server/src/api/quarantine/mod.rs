//! Adapters that an administrator took out of circulation.

pub(crate) mod enter;
pub(crate) mod leave;

use hub_schemas::{api::AdapterInfo, name::AdapterId};

use crate::{
    api::adapters::info::describe,
    app::App,
    db::{adapters, listings},
    domain::permissions::{Administer, Caller, Resource, may},
    error::{ApiError, ApiResult},
};

/// With a reason takes an adapter out of circulation, without one brings it back.
async fn set(app: &App, caller: &Caller, id: &AdapterId, reason: Option<&str>) -> ApiResult<AdapterInfo> {
    let permit = may(&caller.into(), Administer, &Resource::Registry)?;
    let found = adapters::find_any(&app.db, &permit, id).await?;
    let adapter = found.ok_or_else(|| ApiError::no_adapter(id))?;
    let mut tx = app.db.write().await?;
    let adapter = adapters::set_quarantine(&mut tx, &permit, adapter, reason).await?;
    listings::refresh(&mut tx, &adapter).await?;
    tx.commit().await?;
    describe(app, adapter).await
}
