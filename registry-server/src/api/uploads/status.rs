//! `GET /api/v1/uploads/{id}`

use axum::{Json, extract::State};
use hub_schemas::{api::UploadStatus, problem::Problem};

use crate::{
    app::App,
    db::uploads,
    error::ApiResult,
    extract::{ApiPath, Authenticated, UploadPath},
    service::upload as service,
};

/// Says how far an upload is.
#[utoipa::path(
    get, path = "/api/v1/uploads/{id}", tag = "files", security(("token" = [])),
    params(UploadPath),
    responses((status = 200, body = UploadStatus), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub(crate) async fn status(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(UploadPath { id }): ApiPath<UploadPath>,
) -> ApiResult<Json<UploadStatus>> {
    let upload = uploads::find(&app.db, &caller, &id).await?.ok_or_else(|| service::no_upload(&id))?;
    let upload = service::settle(&app, &caller, upload).await?;
    Ok(Json(service::status(&app, &upload)))
}
