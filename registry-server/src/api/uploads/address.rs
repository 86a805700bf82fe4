//! `POST /api/v1/uploads/{id}/parts`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{PartAddress, UploadPart},
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

/// Says where the next bytes of a file go to: straight to the registry's store, with `PUT`, without a
/// token, for some minutes. Only for uploads that are `direct`.
#[utoipa::path(
    post, path = "/api/v1/uploads/{id}/parts", tag = "files", security(("token" = ["publish-new", "publish-update"])),
    params(UploadPath),
    request_body = UploadPart,
    responses(
        (status = 200, body = PartAddress), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "This registry takes the bytes of this file itself"),
        (status = 416, body = Problem, description = "The upload continues at another byte"),
    ),
)]
pub(crate) async fn address(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(UploadPath { id }): ApiPath<UploadPath>,
    ApiJson(wanted): ApiJson<UploadPart>,
) -> ApiResult<Json<PartAddress>> {
    let upload = uploads::find(&app.db, &caller, &id).await?.ok_or_else(|| service::no_upload(&id))?;
    permit_on(&app, &caller, Publish, &upload.adapter).await?;
    let (url, expires_at) = service::direct::address(&app, &caller, &upload, wanted).await?;
    Ok(Json(PartAddress { url, expires_at }))
}
