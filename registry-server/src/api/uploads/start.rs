//! `POST /api/v1/adapters/{namespace}/{name}/uploads`

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use hub_schemas::{
    api::{API_PREFIX, StartUpload, UploadStatus},
    name::AdapterId,
    problem::Problem,
};

use crate::{
    api::permit_on,
    app::App,
    db::{blobs, uploads},
    domain::{permissions::Publish, publish::check_size},
    error::{ApiError, ApiResult},
    extract::{AdapterPath, ApiJson, ApiPath, Authenticated},
    service::{publish as service_publish, room, upload as service},
};

/// Announces a file, or asks how far it came.
///
/// A file that this adapter has already needs no upload; one that was begun is
/// continued at `received`.
#[utoipa::path(
    post, path = "/api/v1/adapters/{namespace}/{name}/uploads", tag = "files",
    security(("token" = ["publish-new", "publish-update"])),
    params(AdapterPath),
    request_body = StartUpload,
    responses(
        (status = 201, body = UploadStatus, description = "Send its bytes from `received` on"),
        (status = 200, body = UploadStatus, description = "This adapter has the file"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    ),
)]
pub(crate) async fn start(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
    ApiJson(StartUpload { digest, size, kind }): ApiJson<StartUpload>,
) -> ApiResult<Response> {
    let id = AdapterId::from(path);
    let permit = permit_on(&app, &caller, Publish, &id).await?;
    service_publish::refuse_kept_name(&app, &permit, &id, &caller.member_viewer()).await?;
    check_size("the file", size, app.limits.file(kind)?)?;
    if let Some(known) = blobs::find_available(&app.db, &id, &digest).await?.map(|blob| blob.size) {
        let status = UploadStatus {
            id: String::new(),
            digest,
            size: known,
            received: known,
            complete: true,
            direct: false,
        };
        return Ok((StatusCode::OK, Json(status)).into_response());
    }
    // One that is lost is begun again, and whatever is acknowledged of it is flushed with it.
    let mut tx = app.db.write_unflushed().await?;
    let upload = uploads::start(&mut tx, &permit, &id, &digest, size).await?;
    room::for_upload(&mut tx, &id).await?;
    tx.commit().await?;
    if upload.size != size {
        let detail = format!(
            "an upload of {digest} with {} bytes was begun; {size} bytes are announced now",
            upload.size
        );
        return Err(ApiError::invalid_value(detail).hint("a digest has one size: check the file"));
    }
    // Nothing may be missing: an empty file, or a server that stopped before its last step.
    let upload = service::settle(&app, &caller, upload).await?;
    if upload.complete {
        return Ok((StatusCode::OK, Json(service::status(&app, &upload))).into_response());
    }
    let location = [(LOCATION, format!("{API_PREFIX}/uploads/{}", upload.id))];
    Ok((StatusCode::CREATED, location, Json(service::status(&app, &upload))).into_response())
}
