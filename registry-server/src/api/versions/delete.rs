//! `DELETE /api/v1/adapters/{namespace}/{name}/versions/{version}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::{api::DeleteQuery, problem::Problem, version::Version};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    api::{one_line, permit_on, visible},
    app::App,
    db::{listings, tombstones, versions},
    domain::{
        deletion::{self, Candidate},
        permissions::Delete,
    },
    error::{ApiError, ApiResult},
    extract::{ApiPath, ApiQuery, Authenticated, VersionPath},
    jobs::{DeleteObject, Job as _, announce},
    storage::Key,
};

/// Deletes a version for good: within three days of its publication, or once it is yanked, and
/// never while another adapter needs it. Its number does not come back.
#[utoipa::path(
    delete, path = "/api/v1/adapters/{namespace}/{name}/versions/{version}", tag = "versions",
    security(("token" = ["admin"])),
    params(VersionPath, DeleteQuery),
    responses(
        (status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It must stay"),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<VersionPath>,
    ApiQuery(query): ApiQuery<DeleteQuery>,
) -> ApiResult<StatusCode> {
    let id = path.adapter();
    let viewer = caller.member_viewer();
    let adapter = visible(&app, &id, &viewer).await?;
    let permit = permit_on(&app, &caller, Delete, &id).await?;
    let reason = one_line("reason", &query.reason)?;
    let no_version = || ApiError::not_found(format!("`{id}` has no version `{}`", path.version));
    let (mut found, others): (Vec<_>, Vec<_>) =
        versions::all(&app.db, &adapter).await?.into_iter().partition(|entry| entry.version == path.version);
    let entry = found.pop().ok_or_else(no_version)?;
    let others: Vec<Version> = others.into_iter().map(|entry| entry.version).collect();
    let age = OffsetDateTime::now_utc() - entry.published_at;
    let candidate = Candidate {
        version: &path.version,
        others: &others,
        age: age.try_into().unwrap_or_default(),
        yanked: entry.yanked.is_some(),
    };
    let mut dependants = tombstones::dependants(&app.db, &adapter, &viewer).await?;
    dependants.extend(tombstones::dependants_of_base(&app.db, &adapter, &entry, &viewer).await?);
    deletion::check(candidate, &dependants)?;
    let mut tx = app.db.write().await?;
    if !tombstones::bury(&mut tx, &permit, &adapter, &path.version, reason).await? {
        return Err(no_version());
    }
    DeleteObject::new(&Key::manifest(&entry.digest)).enqueue(&mut tx).await?;
    listings::refresh(&mut tx, &adapter).await?;
    let data = json!({"name": id, "version": path.version, "reason": reason});
    announce(&mut tx, &id.namespace, "version.deleted", &format!("{id}@{}", path.version), data).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
