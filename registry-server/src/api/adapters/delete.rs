//! `DELETE /api/v1/adapters/{namespace}/{name}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::{api::DeleteQuery, name::AdapterId, problem::Problem};
use serde_json::json;

use crate::{
    api::{one_line, permit_on, visible},
    app::App,
    db::{listings, tombstones},
    domain::{deletion, permissions::DeleteAdapter},
    error::{ApiError, ApiResult},
    extract::{AdapterPath, ApiPath, ApiQuery, Authenticated},
    jobs::announce,
};

/// Deletes an adapter with all its versions, for good: where each of them could be deleted by
/// itself, and no other adapter needs one. Its name and its version numbers stay taken.
#[utoipa::path(
    delete, path = "/api/v1/adapters/{namespace}/{name}", tag = "adapters", security(("token" = ["admin"])),
    params(AdapterPath, DeleteQuery),
    responses(
        (status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "A version must stay"),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
    ApiQuery(query): ApiQuery<DeleteQuery>,
) -> ApiResult<StatusCode> {
    let id = AdapterId::from(path);
    let viewer = caller.member_viewer();
    let adapter = visible(&app, &id, &viewer).await?;
    let permit = permit_on(&app, &caller, DeleteAdapter, &id).await?;
    let reason = one_line("reason", &query.reason)?;
    let mut dependants = tombstones::dependants(&app.db, &adapter, &viewer).await?;
    dependants.retain(|dependant| dependant.name.as_ref() != Some(&id));
    let mut tx = app.db.write().await?;
    let versions = tombstones::close(&mut tx, &permit, &adapter, reason).await?;
    let versions = versions.ok_or_else(|| ApiError::no_adapter(&id))?;
    deletion::check_whole(&versions, &dependants)?;
    tombstones::bury_all(&mut tx, &permit, &adapter, reason).await?;
    listings::refresh(&mut tx, &adapter).await?;
    announce(
        &mut tx,
        &id.namespace,
        "adapter.deleted",
        &id.to_string(),
        json!({"name": id, "reason": reason}),
    )
    .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
