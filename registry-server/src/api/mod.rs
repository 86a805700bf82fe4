//! The handlers, one file per verb. Each parses, authorises, calls, and answers.

pub(crate) mod account;
pub(crate) mod adapters;
pub(crate) mod blobs;
mod caching;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod manifests;
pub(crate) mod resolve;
pub(crate) mod search;
pub(crate) mod uploads;
pub(crate) mod versions;

use hub_schemas::name::AdapterId;

use crate::{
    app::App,
    db::adapters::{VisibleAdapter, find_visible},
    domain::permissions::Viewer,
    error::{ApiError, ApiResult},
};

/// The adapter, or the answer that hides whether it exists.
async fn visible(app: &App, id: &AdapterId, viewer: &Viewer) -> ApiResult<VisibleAdapter> {
    find_visible(&app.db, id, viewer).await?.ok_or_else(|| ApiError::no_adapter(id))
}
