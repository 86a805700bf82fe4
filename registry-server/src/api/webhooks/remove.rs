//! `DELETE /api/v1/namespaces/{namespace}/webhooks/{id}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::permit_in,
    app::App,
    db::webhooks,
    domain::permissions::ManageMembers,
    error::{ApiError, ApiResult},
    extract::{ApiPath, Authenticated, WebhookPath},
};

/// Sends the events of a namespace there no more.
#[utoipa::path(
    delete, path = "/api/v1/namespaces/{namespace}/webhooks/{id}", tag = "access",
    security(("token" = ["admin"])),
    params(WebhookPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(WebhookPath { namespace, id }): ApiPath<WebhookPath>,
) -> ApiResult<StatusCode> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    let mut tx = app.db.write().await?;
    if !webhooks::remove(&mut tx, &permit, &namespace, &id).await? {
        let id: String = id.chars().take(80).collect();
        return Err(ApiError::not_found(format!("`{namespace}` has no webhook with the id `{id}`")));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
