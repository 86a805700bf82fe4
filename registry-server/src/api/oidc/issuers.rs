//! `GET /api/v1/oidc/issuers`

use axum::{Json, extract::State};
use hub_schemas::api::Issuer;

use crate::app::App;

/// Lists whose identity tokens are exchanged here, and for which audience they must be.
#[utoipa::path(
    get, path = "/api/v1/oidc/issuers", tag = "publishing", security(()),
    responses((status = 200, body = [Issuer])),
)]
pub(crate) async fn issuers(State(app): State<App>) -> Json<Vec<Issuer>> {
    Json(app.issuers.listed())
}
