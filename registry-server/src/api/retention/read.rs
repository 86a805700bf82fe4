//! `GET /api/v1/namespaces/{namespace}/retention`

use axum::{Json, extract::State};
use hub_schemas::{api::RetentionRules, problem::Problem};

use crate::{
    api::permit_in,
    app::App,
    db::retention,
    domain::permissions::ManageMembers,
    error::ApiResult,
    extract::{ApiPath, Authenticated, NamespacePath},
};

/// Shows which versions of a namespace are deleted by rule, to its owners.
#[utoipa::path(
    get, path = "/api/v1/namespaces/{namespace}/retention", tag = "access", security(("token" = ["admin"])),
    params(NamespacePath),
    responses(
        (status = 200, body = RetentionRules), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(NamespacePath { namespace }): ApiPath<NamespacePath>,
) -> ApiResult<Json<RetentionRules>> {
    permit_in(&app, &caller, ManageMembers, &namespace).await?;
    Ok(Json(retention::of(&app.db, &namespace).await?))
}
