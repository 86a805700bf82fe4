//! `POST /api/v1/namespaces/{namespace}/retention/preview`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{RetentionPreview, RetentionRules},
    problem::Problem,
};

use crate::{
    api::permit_in,
    app::App,
    domain::{permissions::ManageMembers, retention::check},
    error::{ApiError, ApiResult},
    extract::{ApiJson, ApiPath, Authenticated, NamespacePath},
    service::retention,
};

/// Says what rules would delete now, whether or not they are set. Changes nothing.
#[utoipa::path(
    post, path = "/api/v1/namespaces/{namespace}/retention/preview", tag = "access",
    security(("token" = ["admin"])),
    params(NamespacePath),
    request_body = RetentionRules,
    responses(
        (status = 200, body = RetentionPreview), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn preview(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(NamespacePath { namespace }): ApiPath<NamespacePath>,
    ApiJson(rules): ApiJson<RetentionRules>,
) -> ApiResult<Json<RetentionPreview>> {
    permit_in(&app, &caller, ManageMembers, &namespace).await?;
    check(&rules).map_err(ApiError::invalid_value)?;
    let expired = retention::preview(&app, &namespace, &rules).await?;
    Ok(Json(RetentionPreview { rules, expired }))
}
