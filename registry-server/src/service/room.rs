//! Whether a namespace has room for what is about to be published or uploaded.

use hub_schemas::{name::AdapterId, problem::ProblemCode};
use time::OffsetDateTime;

use crate::{
    app::App,
    db::{WriteTx, adapters::VisibleAdapter, audit, clock, namespaces, quotas},
    domain::{
        permissions::{Permit, Publish},
        quota::{self, Addition},
    },
    error::{ApiError, ApiResult},
};

/// Within which new adapters are counted.
const NEW_WINDOW: time::Duration = time::Duration::HOUR;

/// Refuses a version that the namespace has no room for. Until the transaction ends nobody else publishes there,
/// where there is a quota.
pub(crate) async fn for_version(
    tx: &mut WriteTx,
    permit: &Permit<Publish>,
    id: &AdapterId,
    bytes: u64,
) -> ApiResult<()> {
    if !quotas::is_limited(tx, &id.namespace).await? {
        return Ok(());
    }
    namespaces::lock(tx, &id.namespace).await?;
    let usage = quotas::usage_in(tx, &id.namespace).await?;
    let addition = Addition { bytes, adapters: u64::from(permit.is_for_a_new_adapter()) };
    Ok(quota::check(&id.namespace, &usage, usage.bytes, addition)?)
}

/// Refuses an adapter that comes from another namespace, where the one of `to` has no room for it.
pub(crate) async fn for_moved(tx: &mut WriteTx, adapter: &VisibleAdapter, to: &AdapterId) -> ApiResult<()> {
    namespaces::lock(tx, &to.namespace).await?;
    let usage = quotas::usage_in(tx, &to.namespace).await?;
    let addition = Addition { bytes: quotas::held_by(tx, adapter).await?, adapters: 1 };
    Ok(quota::check(&to.namespace, &usage, usage.bytes, addition)?)
}

/// Refuses an upload, begun in this transaction, that can never be published.
pub(crate) async fn for_upload(tx: &mut WriteTx, id: &AdapterId) -> ApiResult<()> {
    if !quotas::is_limited(tx, &id.namespace).await? {
        return Ok(());
    }
    let usage = quotas::usage_in(tx, &id.namespace).await?;
    let has = usage.bytes.saturating_add(usage.uploading_bytes);
    Ok(quota::check(&id.namespace, &usage, has, Addition { bytes: 0, adapters: 0 })?)
}

/// Refuses whoever made as many adapters in the last hour as one may.
pub(crate) async fn for_another_adapter(app: &App, permit: &Permit<Publish>) -> ApiResult<()> {
    let Some(max) = app.limiter.rates.new_adapters_per_hour else { return Ok(()) };
    if !permit.is_for_a_new_adapter() {
        return Ok(());
    }
    let now = OffsetDateTime::now_utc();
    let since = clock::micros(now - NEW_WINDOW);
    let made = audit::times_of(&app.db, permit.user(), "adapter-create", since).await?;
    if made.len() < max as usize {
        return Ok(());
    }
    // The oldest that counts stops counting first.
    let free = made.get(made.len() - max as usize).map_or(now, |at| *at + NEW_WINDOW);
    let wait = (free - now).whole_seconds().max(0).unsigned_abs() + 1;
    let detail = format!("`{}` made {max} adapters in the last hour, as many as one may", permit.user());
    Err(ApiError::new(ProblemCode::TooManyRequests, detail).retry_after(wait))
}
