//! `GET /api/v1/bases/{digest}`

use axum::{Json, extract::State};
use hub_schemas::{api::BaseVersions, problem::Problem};

use crate::{
    app::App,
    db::versions,
    error::ApiResult,
    extract::{ApiPath, DigestPath, Reader},
    mirror,
};

/// Lists the base models that have certain weights, those that an adapter's manifest names by digest:
/// of this registry, else of those that it mirrors.
#[utoipa::path(
    get, path = "/api/v1/bases/{digest}", tag = "discovery", security((), ("token" = [])),
    params(DigestPath),
    responses((status = 200, body = BaseVersions), (status = 400, body = Problem)),
)]
pub(crate) async fn find(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiPath(DigestPath { digest }): ApiPath<DigestPath>,
) -> ApiResult<Json<BaseVersions>> {
    let mut versions = versions::of_base(&app.db, &digest, &viewer).await?;
    if versions.is_empty() {
        versions = mirror::bases(&app, &viewer, &digest).await?;
    }
    Ok(Json(BaseVersions { versions }))
}
