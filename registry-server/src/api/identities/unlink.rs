//! `DELETE /api/v1/identities/{id}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::tokens::permit,
    app::App,
    db::identities,
    error::{ApiError, ApiResult},
    extract::{ApiPath, Authenticated, IdentityPath},
};

/// Lets an identity log in as the caller no more. Tokens that it got go on working.
#[utoipa::path(
    delete, path = "/api/v1/identities/{id}", tag = "account", security(("token" = ["admin"])),
    params(IdentityPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn unlink(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(IdentityPath { id }): ApiPath<IdentityPath>,
) -> ApiResult<StatusCode> {
    let permit = permit(&caller)?;
    let mut tx = app.db.write().await?;
    if !identities::unlink(&mut tx, &permit, caller.user(), &id).await? {
        return Err(ApiError::not_found("nobody with this id logs in as you")
            .hint("`GET /api/v1/identities` shows them"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
