//! `GET /api/v1/identities`

use axum::{Json, extract::State};
use hub_schemas::{api::LinkedIdentity, problem::Problem};

use crate::{api::tokens::permit, app::App, db::identities, error::ApiResult, extract::Authenticated};

/// Lists who logs in as the caller by the word of an identity provider.
#[utoipa::path(
    get, path = "/api/v1/identities", tag = "account", security(("token" = ["admin"])),
    responses(
        (status = 200, body = [LinkedIdentity]), (status = 401, body = Problem), (status = 403, body = Problem),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> ApiResult<Json<Vec<LinkedIdentity>>> {
    permit(&caller)?;
    Ok(Json(identities::of_user(&app.db, caller.user()).await?))
}
