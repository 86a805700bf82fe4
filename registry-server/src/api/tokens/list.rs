//! `GET /api/v1/tokens`

use axum::{Json, extract::State};
use hub_schemas::{api::TokenEntry, problem::Problem};

use super::permit;
use crate::{app::App, db::tokens, error::ApiResult, extract::Authenticated};

/// Lists the caller's tokens, without their secrets, oldest first.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "account", security(("token" = ["admin"])),
    responses((status = 200, body = [TokenEntry]), (status = 401, body = Problem), (status = 403, body = Problem)),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> ApiResult<Json<Vec<TokenEntry>>> {
    permit(&caller)?;
    Ok(Json(tokens::of_user(&app.db, caller.user()).await?))
}
