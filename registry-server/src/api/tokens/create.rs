//! `POST /api/v1/tokens`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{CreateToken, CreatedToken},
    problem::Problem,
};
use time::OffsetDateTime;

use super::permit;
use crate::{
    app::App,
    db::tokens,
    domain::token,
    error::{ApiError, ApiResult},
    extract::{ApiJson, Authenticated},
};

/// Makes a token for the caller and shows its secret, this once.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "account", security(("token" = ["admin"])),
    request_body = CreateToken,
    responses(
        (status = 201, body = CreatedToken), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiJson(wanted): ApiJson<CreateToken>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    let permit = permit(&caller)?;
    let info =
        token::made_by(caller.token(), wanted, OffsetDateTime::now_utc()).map_err(ApiError::invalid_value)?;
    let mut tx = app.db.write().await?;
    let made = tokens::make(&mut tx, &permit, caller.user(), info).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}
