//! `PUT /api/v1/adapters/{namespace}/{name}/versions/{version}`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{PublishQuery, Published},
    problem::Problem,
};

use crate::{
    api::permit_on,
    app::App,
    domain::{permissions::Publish, publish::manifest_for},
    error::{ApiError, ApiResult},
    extract::{ApiPath, ApiQuery, Authenticated, ManifestBytes, VersionPath},
    service::publish as service,
};

/// Publishes a version whose files were uploaded before.
///
/// The body is the canonical manifest. The same bytes again are fine; other bytes
/// under the same version are refused. With a `Content-Digest` (RFC 9530) of `sha-256`
/// a body that was damaged on its way is refused too.
#[utoipa::path(
    put, path = "/api/v1/adapters/{namespace}/{name}/versions/{version}", tag = "versions",
    security(("token" = ["publish-new", "publish-update"])),
    params(
        VersionPath,
        PublishQuery,
        ("content-digest" = Option<String>, Header, description = "`sha-256=:<base64>:`, of the body",
         pattern = "^sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:$"),
    ),
    request_body = hub_schemas::manifest::Artifact,
    responses(
        (status = 201, body = Published, description = "Published"),
        (status = 200, body = Published, description = "The same bytes had been published before"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem, description = "The version exists with other content"),
        (status = 413, body = Problem),
        (status = 422, body = Problem,
         description = "The manifest or a file is wrong, or a file is missing, or the manifest was damaged on its way"),
    ),
)]
pub(crate) async fn publish(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<VersionPath>,
    ApiQuery(query): ApiQuery<PublishQuery>,
    ManifestBytes(body): ManifestBytes,
) -> ApiResult<(StatusCode, Json<Published>)> {
    let id = path.adapter();
    let permit = permit_on(&app, &caller, Publish, &id).await?;
    let manifest = manifest_for(&body, &id, &path.version)?;
    let text = std::str::from_utf8(&body).map_err(ApiError::internal)?;
    let published =
        service::run(&app, &permit, &caller.member_viewer(), &manifest, text, query.visibility).await?;
    let status = if published.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(published)))
}
