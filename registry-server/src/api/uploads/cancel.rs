//! `DELETE /api/v1/uploads/{id}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::permit_on,
    app::App,
    db::uploads,
    domain::permissions::Publish,
    error::ApiResult,
    extract::{ApiPath, Authenticated, UploadPath},
    service::upload as service,
};

/// Forgets an upload and its bytes.
#[utoipa::path(
    delete, path = "/api/v1/uploads/{id}", tag = "files", security(("token" = ["publish-new", "publish-update"])),
    params(UploadPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(UploadPath { id }): ApiPath<UploadPath>,
) -> ApiResult<StatusCode> {
    let upload = uploads::find(&app.db, &caller, &id).await?.ok_or_else(|| service::no_upload(&id))?;
    permit_on(&app, &caller, Publish, &upload.adapter).await?;
    let mut tx = app.db.write().await?;
    uploads::delete(&mut tx, &upload.id).await?;
    tx.commit().await?;
    service::discard(&app.storage, &upload).await?;
    Ok(StatusCode::NO_CONTENT)
}
