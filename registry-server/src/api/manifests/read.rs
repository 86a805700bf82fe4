//! `GET /api/v1/manifests/{digest}`

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use hub_schemas::problem::Problem;
use serde::Deserialize;

use crate::{
    api::caching::{self, Freshness},
    app::App,
    db::versions,
    error::{ApiError, ApiResult},
    extract::{ApiPath, ApiQuery, DigestPath, Reader},
    mirror,
};

/// What the manifest is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// The adapter is being pulled; counted.
    Pull,
}

/// Query of a manifest request.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestQuery {
    /// `pull` counts a pull of the adapter.
    #[param(inline)]
    purpose: Option<Purpose>,
}

/// Sends a manifest: exactly the bytes that were published.
#[utoipa::path(
    get, path = "/api/v1/manifests/{digest}", tag = "versions", security((), ("token" = [])),
    params(DigestPath, ManifestQuery),
    responses(
        (status = 200, body = hub_schemas::manifest::Artifact), (status = 304, description = "Not changed"),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiPath(DigestPath { digest }): ApiPath<DigestPath>,
    ApiQuery(query): ApiQuery<ManifestQuery>,
    request: HeaderMap,
) -> ApiResult<Response> {
    let here = versions::manifest(&app.db, &digest, &viewer).await?;
    let found = match here {
        Some(found) => Some(found),
        None => mirror::manifest(&app, &viewer, &digest).await?,
    };
    let found = found.ok_or_else(|| {
        ApiError::not_found(format!("there is no version with the digest `{digest}`"))
            .hint("a private adapter needs the token of somebody who may see it")
    })?;
    ApiError::unless_quarantined(&found.adapter)?;
    if query.purpose == Some(Purpose::Pull) {
        if !app.read_only {
            app.pulls.add(digest);
        }
        app.telemetry.pulled();
    }
    let headers = caching::headers(found.adapter.visibility, Freshness::Immutable, &digest);
    if caching::is_current(&request, &digest) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(CONTENT_TYPE, "application/json")], found.bytes).into_response())
}
