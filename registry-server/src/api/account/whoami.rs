//! `GET /api/v1/whoami`

use axum::{Json, extract::State};
use hub_schemas::{api::WhoAmI, problem::Problem};

use crate::{
    app::App,
    db::{collaborators, members},
    error::ApiResult,
    extract::Authenticated,
};

/// Says whose token it is and what it may do.
#[utoipa::path(
    get, path = "/api/v1/whoami", tag = "account", security(("token" = [])),
    responses((status = 200, body = WhoAmI), (status = 401, body = Problem)),
)]
pub(crate) async fn whoami(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> ApiResult<Json<WhoAmI>> {
    let namespaces = members::namespaces_of(&app.db, caller.user()).await?;
    Ok(Json(WhoAmI {
        user: caller.user().clone(),
        namespaces,
        adapters: collaborators::adapters_of(&app.db, caller.user()).await?,
        administrator: caller.is_administrator(),
        token: caller.token().clone(),
    }))
}
