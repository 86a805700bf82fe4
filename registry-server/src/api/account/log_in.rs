//! `POST /api/v1/login`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{CreatedToken, LogIn},
    problem::Problem,
};
use time::OffsetDateTime;

use crate::{
    app::App,
    db::tokens,
    domain::{
        permissions::{Actor, ManageAccount, Resource, may},
        token,
    },
    error::{ApiError, ApiResult},
    extract::{ApiJson, Peer},
    service::passwords,
};

/// Makes a token for whoever knows a user's password, and shows its secret, this once.
///
/// Attempts are counted by address and by user. A wrong password, a user without one and a user
/// who does not exist get the same answer.
#[utoipa::path(
    post, path = "/api/v1/login", tag = "account", security(()),
    request_body = LogIn,
    responses(
        (status = 201, body = CreatedToken), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 429, body = Problem),
    ),
)]
pub(crate) async fn log_in(
    State(app): State<App>,
    Peer(address): Peer,
    ApiJson(LogIn { user, password, token: wanted }): ApiJson<LogIn>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    let info = token::wanted(wanted, OffsetDateTime::now_utc()).map_err(ApiError::invalid_value)?;
    let (right, _) = passwords::try_password(&app, address, &user, password).await?;
    if !right {
        return Err(passwords::wrong());
    }
    let permit = may(&Actor::Account(user.clone()), ManageAccount, &Resource::Account(user.clone()))?;
    let mut tx = app.db.write().await?;
    let made = tokens::make(&mut tx, &permit, &user, info).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}
