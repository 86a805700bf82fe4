//! `DELETE /api/v1/adapters/{namespace}/{name}/kept-name`

use axum::{extract::State, http::StatusCode};
use hub_schemas::{name::AdapterId, problem::Problem};

use crate::{
    api::permit_on,
    app::App,
    db::former_names,
    domain::permissions::FreeName,
    error::{ApiError, ApiResult},
    extract::{AdapterPath, ApiPath, Authenticated},
};

/// Lets a name be used again that leads to a moved adapter, or that a deleted one had.
///
/// Whoever still uses it gets what is published there from now on. Numbers of deleted versions
/// stay taken.
#[utoipa::path(
    delete, path = "/api/v1/adapters/{namespace}/{name}/kept-name", tag = "adapters",
    security(("token" = ["admin"])),
    params(AdapterPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn free_name(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
) -> ApiResult<StatusCode> {
    let id = AdapterId::from(path);
    let permit = permit_on(&app, &caller, FreeName, &id).await?;
    let mut tx = app.db.write().await?;
    if !former_names::free(&mut tx, &permit, &id).await? {
        return Err(ApiError::not_found(format!("nothing keeps the name `{id}`"))
            .hint("names are kept that an adapter had before it was moved, or deleted as a whole"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
