//! `POST /api/v1/oidc/exchange`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{CreatedToken, ExchangeToken},
    problem::Problem,
};

use crate::{app::App, error::ApiResult, extract::ApiJson, service::exchange};

/// Gives whoever has an identity token of a trusted publisher a token that publishes one adapter,
/// for some minutes. An identity token is taken once.
#[utoipa::path(
    post, path = "/api/v1/oidc/exchange", tag = "publishing", security(()),
    request_body = ExchangeToken,
    responses(
        (status = 201, body = CreatedToken), (status = 400, body = Problem),
        (status = 401, body = Problem, description = "The identity token does not hold"),
        (status = 403, body = Problem, description = "Nobody trusts it with this adapter"),
        (status = 503, body = Problem, description = "The issuer's keys can't be read"),
    ),
)]
pub(crate) async fn exchange(
    State(app): State<App>,
    ApiJson(ExchangeToken { adapter, token }): ApiJson<ExchangeToken>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    let made = exchange::run(&app, &adapter, &token).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
