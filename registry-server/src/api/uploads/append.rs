//! `PATCH /api/v1/uploads/{id}`

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_RANGE},
};
use hub_schemas::{api::UploadStatus, problem::Problem};

use crate::{
    api::permit_on,
    app::App,
    db::uploads,
    domain::{permissions::Publish, range::content_range},
    error::ApiResult,
    extract::{ApiPath, Authenticated, UploadPath},
    service::upload as service,
};

/// Sends the next bytes of a file. What is acknowledged survives a killed server.
#[utoipa::path(
    patch, path = "/api/v1/uploads/{id}", tag = "files", security(("token" = ["publish-new", "publish-update"])),
    params(
        UploadPath,
        ("content-range" = String, Header, description = "`bytes <first>-<last>/<size of the file>`",
         pattern = "^bytes [0-9]{1,18}-[0-9]{1,18}/[0-9]{1,18}$"),
    ),
    request_body(content_type = "application/octet-stream"),
    responses(
        (status = 202, body = UploadStatus, description = "Stored; `complete` after the last byte"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 416, body = Problem, description = "The upload continues at another byte"),
        (status = 422, body = Problem, description = "All bytes together have another digest"),
    ),
)]
pub(crate) async fn append(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(UploadPath { id }): ApiPath<UploadPath>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<UploadStatus>)> {
    let upload = uploads::find(&app.db, &caller, &id).await?.ok_or_else(|| service::no_upload(&id))?;
    // Whoever lost the right meanwhile does not finish.
    permit_on(&app, &caller, Publish, &upload.adapter).await?;
    let header = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let range = content_range(header, upload.size)?;
    let upload = service::append(&app, &caller, &upload, range, body).await?;
    Ok((StatusCode::ACCEPTED, Json(service::status(&app, &upload))))
}
