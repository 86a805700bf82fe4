//! `POST /api/v1/identities`

use axum::{extract::State, http::StatusCode};
use hub_schemas::{api::LinkIdentity, problem::Problem};

use crate::{
    api::tokens::permit,
    app::App,
    error::ApiResult,
    extract::{ApiJson, Authenticated},
    service::login,
};

/// Lets whoever an identity token is about log in as the caller. Takes a token with every scope that
/// does not expire: who is linked makes such tokens of any kind.
#[utoipa::path(
    post, path = "/api/v1/identities", tag = "account", security(("token" = ["admin"])),
    request_body = LinkIdentity,
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem, description = "That identity logs in as somebody already"),
        (status = 422, body = Problem, description = "The identity token does not hold"),
        (status = 503, body = Problem, description = "The provider's keys can't be read"),
    ),
)]
pub(crate) async fn link(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiJson(LinkIdentity { identity, nonce }): ApiJson<LinkIdentity>,
) -> ApiResult<StatusCode> {
    let permit = permit(&caller)?;
    login::link(&app, &caller, &permit, &identity, nonce.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
