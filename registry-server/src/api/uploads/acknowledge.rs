//! `PUT /api/v1/uploads/{id}/parts`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{SentPart, UploadStatus},
    problem::Problem,
};

use crate::{
    api::permit_on,
    app::App,
    db::uploads,
    domain::permissions::Publish,
    error::ApiResult,
    extract::{ApiJson, ApiPath, Authenticated, UploadPath},
    service::upload as service,
};

/// Takes note of bytes that the store has. After the last ones the whole file is read there once, and
/// counts when it has its digest.
#[utoipa::path(
    put, path = "/api/v1/uploads/{id}/parts", tag = "files", security(("token" = ["publish-new", "publish-update"])),
    params(UploadPath),
    request_body = SentPart,
    responses(
        (status = 202, body = UploadStatus, description = "Noted; `complete` after the last byte"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "This registry takes the bytes of this file itself"),
        (status = 416, body = Problem, description = "The upload continues at another byte"),
        (status = 422, body = Problem, description = "All bytes together have another digest"),
    ),
)]
pub(crate) async fn acknowledge(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(UploadPath { id }): ApiPath<UploadPath>,
    ApiJson(sent): ApiJson<SentPart>,
) -> ApiResult<(StatusCode, Json<UploadStatus>)> {
    let upload = uploads::find(&app.db, &caller, &id).await?.ok_or_else(|| service::no_upload(&id))?;
    permit_on(&app, &caller, Publish, &upload.adapter).await?;
    let upload = service::direct::acknowledge(&app, &caller, &upload, sent).await?;
    Ok((StatusCode::ACCEPTED, Json(service::status(&app, &upload))))
}
