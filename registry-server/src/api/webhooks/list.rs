//! `GET /api/v1/namespaces/{namespace}/webhooks`

use axum::{Json, extract::State};
use hub_schemas::{api::Webhook, problem::Problem};

use crate::{
    api::permit_in,
    app::App,
    db::webhooks,
    domain::permissions::ManageMembers,
    error::ApiResult,
    extract::{ApiPath, Authenticated, NamespacePath},
};

/// Lists where the events of a namespace are sent and what came of the last one, to its owners.
#[utoipa::path(
    get, path = "/api/v1/namespaces/{namespace}/webhooks", tag = "access", security(("token" = ["admin"])),
    params(NamespacePath),
    responses(
        (status = 200, body = [Webhook]), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(NamespacePath { namespace }): ApiPath<NamespacePath>,
) -> ApiResult<Json<Vec<Webhook>>> {
    permit_in(&app, &caller, ManageMembers, &namespace).await?;
    Ok(Json(webhooks::all(&app.db, &namespace).await?))
}
