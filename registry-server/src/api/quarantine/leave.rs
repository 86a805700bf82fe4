//! `DELETE /api/v1/adapters/{namespace}/{name}/quarantine`

use axum::{Json, extract::State};
use hub_schemas::{api::AdapterInfo, problem::Problem};

use super::set;
use crate::{
    app::App,
    error::ApiResult,
    extract::{AdapterPath, ApiPath, Authenticated},
};

/// Brings an adapter back into circulation.
#[utoipa::path(
    delete, path = "/api/v1/adapters/{namespace}/{name}/quarantine", tag = "operation",
    security(("token" = ["admin"])),
    params(AdapterPath),
    responses(
        (status = 200, body = AdapterInfo), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn leave(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
) -> ApiResult<Json<AdapterInfo>> {
    set(&app, &caller, &path.into(), None).await.map(Json)
}
