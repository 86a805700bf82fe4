//! `DELETE /api/v1/adapters/{namespace}/{name}/teams/{team}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::{permit_on, visible},
    app::App,
    db::team_collaborators,
    domain::permissions::ManageCollaborators,
    error::{ApiError, ApiResult},
    extract::{AdapterTeamPath, ApiPath, Authenticated},
};

/// Takes a team's role on an adapter away.
#[utoipa::path(
    delete, path = "/api/v1/adapters/{namespace}/{name}/teams/{team}", tag = "access",
    security(("token" = ["admin"])),
    params(AdapterTeamPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterTeamPath>,
) -> ApiResult<StatusCode> {
    let id = path.adapter();
    let adapter = visible(&app, &id, &caller.member_viewer()).await?;
    let permit = permit_on(&app, &caller, ManageCollaborators, &id).await?;
    let mut tx = app.db.write().await?;
    if !team_collaborators::remove(&mut tx, &permit, &adapter, &path.team).await? {
        return Err(ApiError::not_found(format!("the team `{}` has no role on `{id}`", path.team)));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
