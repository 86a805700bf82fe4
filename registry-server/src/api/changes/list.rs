//! `GET /api/v1/changes`

use std::time::Duration;

use axum::{Json, extract::State};
use hub_schemas::{
    api::{ChangesPage, ChangesQuery, DEFAULT_CHANGES_LIMIT, MAX_CHANGES_LIMIT, MAX_CHANGES_WAIT},
    problem::Problem,
};
use tokio::time::{Instant, sleep};

use crate::{
    api::within,
    app::App,
    db::{changes, identity},
    error::{ApiError, ApiResult},
    extract::{ApiQuery, Reader},
};

/// How often somebody who waits looks: one row is read.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Lists what changed after a serial, oldest first, as far as the caller may see the adapters.
///
/// Nothing between `since` and `next` is missing, whatever is published at the same time. Serials of
/// what others may see alone are left out, so their numbers have gaps.
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "discovery", security((), ("token" = [])),
    params(ChangesQuery),
    responses((status = 200, body = ChangesPage), (status = 400, body = Problem)),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiQuery(query): ApiQuery<ChangesQuery>,
) -> ApiResult<Json<ChangesPage>> {
    let limit = within("limit", query.limit.unwrap_or(DEFAULT_CHANGES_LIMIT), MAX_CHANGES_LIMIT)?;
    let wait = query.wait.unwrap_or_default();
    if wait > MAX_CHANGES_WAIT {
        let detail = format!("`wait` is {wait}; it must be at most {MAX_CHANGES_WAIT} seconds");
        return Err(ApiError::bad_request(detail));
    }
    if i64::try_from(query.since).is_err() {
        return Err(ApiError::bad_request(format!("`since` is {}, which is no serial", query.since)));
    }
    let until = Instant::now() + Duration::from_secs(wait.into());
    let mut looked = query.since;
    loop {
        // Read first: everything up to it is committed, so the page misses nothing.
        let last = changes::last(&app.db).await?;
        let items = if last > looked {
            changes::page(&app.db, &viewer, query.since, last, limit).await?
        } else {
            Vec::new()
        };
        if items.is_empty() && last >= query.since && Instant::now() < until {
            looked = last;
            sleep(LOOK_EVERY).await;
            continue;
        }
        let more = items.len() == limit as usize;
        let next = items.last().filter(|_| more).map_or(last, |change| change.serial);
        let registry = identity::of(&app.db).await?;
        return Ok(Json(ChangesPage { registry, items, next, more }));
    }
}
