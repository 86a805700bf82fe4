//! `POST /api/v1/oidc/login`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{CreatedToken, OidcLogIn},
    problem::Problem,
};

use crate::{app::App, error::ApiResult, extract::ApiJson, service::login};

/// Makes a token for whoever an identity provider says that this is, and shows its secret, this once.
///
/// An identity token is taken once. It never leads to a user who did not link it.
#[utoipa::path(
    post, path = "/api/v1/oidc/login", tag = "account", security(()),
    request_body = OidcLogIn,
    responses(
        (status = 201, body = CreatedToken),
        (status = 401, body = Problem, description = "The identity token does not hold"),
        (status = 403, body = Problem, description = "Nobody here is that person"),
        (status = 503, body = Problem, description = "The provider's keys can't be read"),
    ),
)]
pub(crate) async fn log_in(
    State(app): State<App>,
    ApiJson(request): ApiJson<OidcLogIn>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    let made = login::run(&app, request).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
