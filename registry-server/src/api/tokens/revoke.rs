//! `DELETE /api/v1/tokens/{id}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use super::permit;
use crate::{
    app::App,
    db::tokens,
    error::{ApiError, ApiResult},
    extract::{ApiPath, Authenticated, TokenPath},
};

/// Makes one of the caller's tokens useless, at once.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "account", security(("token" = ["admin"])),
    params(TokenPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(TokenPath { id }): ApiPath<TokenPath>,
) -> ApiResult<StatusCode> {
    let permit = permit(&caller)?;
    let mut tx = app.db.write().await?;
    if !tokens::revoke(&mut tx, &permit, caller.user(), &id).await? {
        let id: String = id.chars().take(80).collect();
        return Err(ApiError::not_found(format!("you have no working token with the id `{id}`"))
            .hint("`hub token list` shows them"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
