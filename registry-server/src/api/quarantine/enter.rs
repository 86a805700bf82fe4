//! `PUT /api/v1/adapters/{namespace}/{name}/quarantine`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{AdapterInfo, QuarantineRequest},
    problem::Problem,
};

use super::set;
use crate::{
    api::one_line,
    app::App,
    error::ApiResult,
    extract::{AdapterPath, ApiJson, ApiPath, Authenticated},
};

/// Takes an adapter out of circulation. Whoever may see it is told why; nobody gets its files.
#[utoipa::path(
    put, path = "/api/v1/adapters/{namespace}/{name}/quarantine", tag = "operation",
    security(("token" = ["admin"])),
    params(AdapterPath),
    request_body = QuarantineRequest,
    responses(
        (status = 200, body = AdapterInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn enter(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
    ApiJson(request): ApiJson<QuarantineRequest>,
) -> ApiResult<Json<AdapterInfo>> {
    let reason = one_line("reason", &request.reason)?;
    set(&app, &caller, &path.into(), Some(reason)).await.map(Json)
}
