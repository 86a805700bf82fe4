//! `PATCH /api/v1/adapters/{namespace}/{name}`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{AdapterInfo, ChangeVisibility},
    name::AdapterId,
    problem::Problem,
};
use serde_json::json;

use super::info::describe;
use crate::{
    api::{permit_on, visible},
    app::App,
    db::adapters,
    domain::permissions::ChangeVisibility as Verb,
    error::ApiResult,
    extract::{AdapterPath, ApiJson, ApiPath, Authenticated},
    jobs::announce,
    service::lookalikes,
};

/// Shows an adapter to everyone, to every user, or to the members of its namespace and its collaborators.
#[utoipa::path(
    patch, path = "/api/v1/adapters/{namespace}/{name}", tag = "adapters", security(("token" = ["admin"])),
    params(AdapterPath),
    request_body = ChangeVisibility,
    responses(
        (status = 200, body = AdapterInfo), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn change_visibility(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
    ApiJson(change): ApiJson<ChangeVisibility>,
) -> ApiResult<Json<AdapterInfo>> {
    let id = AdapterId::from(path);
    let adapter = visible(&app, &id, &caller.member_viewer()).await?;
    let permit = permit_on(&app, &caller, Verb, &id).await?;
    let mut tx = app.db.write().await?;
    let before = adapter.visibility;
    let adapter = adapters::set_visibility(&mut tx, &permit, adapter, change.visibility).await?;
    let mut warnings = Vec::new();
    if adapter.visibility != before {
        warnings = lookalikes::of_first_shown(&mut tx, permit.actor(), &adapter).await?;
        let data = json!({"name": id, "visibility": adapter.visibility});
        announce(&mut tx, &id.namespace, "adapter.visibility", &id.to_string(), data).await?;
    }
    tx.commit().await?;
    Ok(Json(AdapterInfo { warnings, ..describe(&app, adapter).await? }))
}
