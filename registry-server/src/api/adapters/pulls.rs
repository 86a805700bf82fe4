//! `GET /api/v1/adapters/{namespace}/{name}/pulls`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{DEFAULT_PULL_DAYS, MAX_PULL_DAYS, PullHistory, PullQuery},
    problem::Problem,
};
use time::OffsetDateTime;

use crate::{
    api::{visible, within},
    app::App,
    db::pulls,
    error::ApiResult,
    extract::{AdapterPath, ApiPath, ApiQuery, Reader},
};

/// Says how often each version of an adapter was pulled on each of the last days.
#[utoipa::path(
    get, path = "/api/v1/adapters/{namespace}/{name}/pulls", tag = "adapters", security((), ("token" = [])),
    params(AdapterPath, PullQuery),
    responses(
        (status = 200, body = PullHistory), (status = 400, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiPath(path): ApiPath<AdapterPath>,
    ApiQuery(query): ApiQuery<PullQuery>,
) -> ApiResult<Json<PullHistory>> {
    let adapter = visible(&app, &path.into(), &viewer).await?;
    let days = within("days", query.days.unwrap_or(DEFAULT_PULL_DAYS), MAX_PULL_DAYS)?;
    let from = pulls::day_of(OffsetDateTime::now_utc()) - i64::from(days) + 1;
    let days = pulls::since(&app.db, &adapter, from).await?;
    Ok(Json(PullHistory { name: adapter.id, days }))
}
