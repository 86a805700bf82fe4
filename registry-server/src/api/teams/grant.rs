//! `PUT /api/v1/adapters/{namespace}/{name}/teams/{team}`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{Collaborators, GrantRole},
    problem::Problem,
};

use super::{no_owner, no_team};
use crate::{
    api::{collaborators::list::describe, permit_on, visible},
    app::App,
    db::team_collaborators,
    domain::permissions::ManageCollaborators,
    error::ApiResult,
    extract::{AdapterTeamPath, ApiJson, ApiPath, Authenticated},
};

/// Gives a team of the adapter's organisation a role on it, in place of the one it has.
#[utoipa::path(
    put, path = "/api/v1/adapters/{namespace}/{name}/teams/{team}", tag = "access",
    security(("token" = ["admin"])),
    params(AdapterTeamPath),
    request_body = GrantRole,
    responses(
        (status = 200, body = Collaborators), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn grant(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterTeamPath>,
    ApiJson(GrantRole { role }): ApiJson<GrantRole>,
) -> ApiResult<Json<Collaborators>> {
    let id = path.adapter();
    let adapter = visible(&app, &id, &caller.member_viewer()).await?;
    let permit = permit_on(&app, &caller, ManageCollaborators, &id).await?;
    no_owner(role)?;
    let mut tx = app.db.write().await?;
    if !team_collaborators::set(&mut tx, &permit, &adapter, &path.team, role).await? {
        return Err(no_team(&id.namespace, &path.team));
    }
    tx.commit().await?;
    describe(&app, adapter).await.map(Json)
}
