//! `GET /api/v1/oidc/logins`

use axum::{Json, extract::State};
use hub_schemas::api::LoginProvider;

use crate::app::App;

/// Lists the identity providers by whose word people log in here, and as which client to ask them.
#[utoipa::path(
    get, path = "/api/v1/oidc/logins", tag = "account", security(()),
    responses((status = 200, body = [LoginProvider])),
)]
pub(crate) async fn logins(State(app): State<App>) -> Json<Vec<LoginProvider>> {
    Json(app.logins.listed())
}
