//! `PATCH /api/v1/adapters/{namespace}/{name}/versions/{version}`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{VersionEntry, YankRequest},
    problem::Problem,
};
use serde_json::json;

use crate::{
    api::{one_line, permit_on, visible},
    app::App,
    db::{listings, versions},
    domain::permissions::Yank,
    error::{ApiError, ApiResult},
    extract::{ApiJson, ApiPath, Authenticated, VersionPath},
    jobs::announce,
};

/// Yanks a version, or takes that back. A yanked version is not chosen any more,
/// but whoever names it exactly still gets it.
#[utoipa::path(
    patch, path = "/api/v1/adapters/{namespace}/{name}/versions/{version}", tag = "versions",
    security(("token" = ["yank"])),
    params(VersionPath),
    request_body = YankRequest,
    responses(
        (status = 200, body = VersionEntry), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn yank(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<VersionPath>,
    ApiJson(request): ApiJson<YankRequest>,
) -> ApiResult<Json<VersionEntry>> {
    let id = path.adapter();
    let adapter = visible(&app, &id, &caller.member_viewer()).await?;
    let permit = permit_on(&app, &caller, Yank, &id).await?;
    let reason = one_line("reason", &request.reason)?;
    let reason = request.yanked.then_some(reason);
    let no_version = || ApiError::not_found(format!("`{id}` has no version `{}`", path.version));
    let mut tx = app.db.write().await?;
    if !versions::set_yanked(&mut tx, &permit, &adapter, &path.version, reason).await? {
        return Err(no_version());
    }
    let kind = if request.yanked { "version.yanked" } else { "version.unyanked" };
    let data = json!({"name": id, "version": path.version, "reason": reason});
    announce(&mut tx, &id.namespace, kind, &format!("{id}@{}", path.version), data).await?;
    listings::refresh(&mut tx, &adapter).await?;
    tx.commit().await?;
    let entries = versions::all(&app.db, &adapter).await?;
    entries.into_iter().find(|e| e.version == path.version).map(Json).ok_or_else(no_version)
}
