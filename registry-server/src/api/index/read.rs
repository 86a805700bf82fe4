//! `GET /api/v1/index/{namespace}/{name}`

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{AppendHeaders, IntoResponse as _, Response},
};
use hub_schemas::{
    api::{IndexDocument, VersionEntry},
    digest::Digest,
    problem::Problem,
};

use crate::{
    api::{
        caching::{self, Freshness},
        in_circulation,
    },
    app::App,
    db::{adapters::VisibleAdapter, mirrored, versions},
    error::{ApiError, ApiResult},
    extract::{AdapterPath, ApiPath, Reader},
    mirror,
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
    let id = path.into();
    let seen = mirror::refresh(&app, &viewer, &id).await?;
    let adapter = in_circulation(&app, &id, &viewer).await?;
    let versions = versions(&app, &adapter).await?;
    let body = serde_json::to_vec(&IndexDocument { name: adapter.id, kind: adapter.kind, versions })
        .map_err(ApiError::internal)?;
    let etag = Digest::of(&body);
    let stale = seen.and_then(|seen| seen.stale).map(|age| [(caching::STALE, age.as_secs().to_string())]);
    let stale = stale.map(AppendHeaders);
    let headers = caching::headers(adapter.visibility, Freshness::Minute, &etag);
    if caching::is_current(&request, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers, stale, ()).into_response());
    }
    Ok((headers, [(CONTENT_TYPE, "application/json")], stale, body).into_response())
}

/// Every version of an adapter, newest first: of a mirrored one those that it has upstream.
pub(crate) async fn versions(app: &App, adapter: &VisibleAdapter) -> ApiResult<Vec<VersionEntry>> {
    match mirrored::entries(&app.db, adapter).await? {
        Some(entries) => Ok(entries),
        None => Ok(versions::all(&app.db, adapter).await?),
    }
}
