//! `GET /api/v1/index/{namespace}/{name}`

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use hub_schemas::{api::IndexDocument, digest::Digest, problem::Problem};

use crate::{
    api::{
        caching::{self, Freshness},
        in_circulation,
    },
    app::App,
    db::versions,
    error::{ApiError, ApiResult},
    extract::{AdapterPath, ApiPath, Reader},
};

/// Lists an adapter's versions: small, cacheable, revalidated by `ETag`.
#[utoipa::path(
    get, path = "/api/v1/index/{namespace}/{name}", tag = "adapters", security((), ("token" = [])),
    params(AdapterPath),
    responses(
        (status = 200, body = IndexDocument), (status = 304, description = "Not changed"),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiPath(path): ApiPath<AdapterPath>,
    request: HeaderMap,
) -> ApiResult<Response> {
    let adapter = in_circulation(&app, &path.into(), &viewer).await?;
    let versions = versions::all(&app.db, &adapter).await?;
    let body =
        serde_json::to_vec(&IndexDocument { name: adapter.id, versions }).map_err(ApiError::internal)?;
    let etag = Digest::of(&body);
    let headers = caching::headers(adapter.visibility, Freshness::Minute, &etag);
    if caching::is_current(&request, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(CONTENT_TYPE, "application/json")], body).into_response())
}
