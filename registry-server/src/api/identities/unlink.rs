//! `DELETE /api/v1/identities/{id}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::tokens::permit,
    app::App,
    error::ApiResult,
    extract::{ApiPath, Authenticated, IdentityPath},
    service::login,
};

/// Lets an identity log in as the caller no more. Tokens that it got go on working.
#[utoipa::path(
    delete, path = "/api/v1/identities/{id}", tag = "account", security(("token" = ["admin"])),
    params(IdentityPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Nothing else would let the caller log in in the long run"),
    ),
)]
pub(crate) async fn unlink(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(IdentityPath { id }): ApiPath<IdentityPath>,
) -> ApiResult<StatusCode> {
    let permit = permit(&caller)?;
    login::unlink(&app, &caller, &permit, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
