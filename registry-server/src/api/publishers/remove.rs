//! `DELETE /api/v1/adapters/{namespace}/{name}/publishers/{id}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::permit_on,
    app::App,
    db::publishers,
    domain::permissions::ManagePublishers,
    error::{ApiError, ApiResult},
    extract::{ApiPath, Authenticated, PublisherPath},
};

/// Trusts a publisher no more. Tokens that it was given end within minutes.
#[utoipa::path(
    delete, path = "/api/v1/adapters/{namespace}/{name}/publishers/{id}", tag = "publishing",
    security(("token" = ["admin"])),
    params(PublisherPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<PublisherPath>,
) -> ApiResult<StatusCode> {
    let id = path.adapter();
    let permit = permit_on(&app, &caller, ManagePublishers, &id).await?;
    let mut tx = app.db.write().await?;
    if !publishers::remove(&mut tx, &permit, &id, &path.id).await? {
        let key: String = path.id.chars().take(80).collect();
        return Err(ApiError::not_found(format!("`{id}` has no trusted publisher `{key}`"))
            .hint(format!("`hub publisher list {id}` shows them")));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
