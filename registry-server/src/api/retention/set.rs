//! `PUT /api/v1/namespaces/{namespace}/retention`

use axum::{Json, extract::State};
use hub_schemas::{api::RetentionRules, problem::Problem};

use crate::{
    api::permit_in,
    app::App,
    db::retention,
    domain::{permissions::ManageMembers, retention::check},
    error::{ApiError, ApiResult},
    extract::{ApiJson, ApiPath, Authenticated, NamespacePath},
};

/// Sets which versions of a namespace are deleted by rule, every hour; without any rule nothing is.
#[utoipa::path(
    put, path = "/api/v1/namespaces/{namespace}/retention", tag = "access", security(("token" = ["admin"])),
    params(NamespacePath),
    request_body = RetentionRules,
    responses(
        (status = 200, body = RetentionRules), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn set(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(NamespacePath { namespace }): ApiPath<NamespacePath>,
    ApiJson(rules): ApiJson<RetentionRules>,
) -> ApiResult<Json<RetentionRules>> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    check(&rules).map_err(ApiError::invalid_value)?;
    let mut tx = app.db.write().await?;
    retention::set(&mut tx, &permit, &namespace, &rules).await?;
    tx.commit().await?;
    Ok(Json(rules))
}
