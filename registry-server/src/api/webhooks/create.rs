//! `POST /api/v1/namespaces/{namespace}/webhooks`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{CreateWebhook, CreatedWebhook},
    problem::{Problem, ProblemCode},
};

use crate::{
    api::permit_in,
    app::App,
    db::webhooks,
    domain::{
        permissions::ManageMembers,
        webhook::{parse_url, secret},
    },
    error::{ApiError, ApiResult},
    extract::{ApiJson, ApiPath, Authenticated, NamespacePath},
};

/// More than one per tool that listens is a mistake, and every event is sent to each.
const MAX_WEBHOOKS: usize = 10;

/// Sends the events of a namespace somewhere, and shows the secret that signs them, this once.
#[utoipa::path(
    post, path = "/api/v1/namespaces/{namespace}/webhooks", tag = "access", security(("token" = ["admin"])),
    params(NamespacePath),
    request_body = CreateWebhook,
    responses(
        (status = 201, body = CreatedWebhook), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The namespace has as many as it may"),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(NamespacePath { namespace }): ApiPath<NamespacePath>,
    ApiJson(CreateWebhook { url }): ApiJson<CreateWebhook>,
) -> ApiResult<(StatusCode, Json<CreatedWebhook>)> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    parse_url(&url, app.webhooks_anywhere).map_err(ApiError::invalid_value)?;
    let secret = secret(&mut rand::rng());
    let mut tx = app.db.write().await?;
    if webhooks::ids(&mut tx, &namespace).await?.len() >= MAX_WEBHOOKS {
        let detail = format!("`{namespace}` has {MAX_WEBHOOKS} webhooks, as many as it may");
        return Err(ApiError::new(ProblemCode::Conflict, detail).hint("remove one that is not used"));
    }
    let webhook = webhooks::insert(&mut tx, &permit, &namespace, &url, &secret).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(CreatedWebhook { webhook, secret })))
}
