//! `GET /api/v1/adapters/{namespace}/{name}/collaborators`

use axum::{Json, extract::State};
use hub_schemas::{api::Collaborators, name::AdapterId, problem::Problem};

use crate::{
    api::{permit_on, visible},
    app::App,
    db::{adapters::VisibleAdapter, collaborators, team_collaborators},
    domain::permissions::ManageCollaborators,
    error::ApiResult,
    extract::{AdapterPath, ApiPath, Authenticated},
};

/// Lists who has a role for an adapter, to those who decide that.
#[utoipa::path(
    get, path = "/api/v1/adapters/{namespace}/{name}/collaborators", tag = "access",
    security(("token" = ["admin"])),
    params(AdapterPath),
    responses(
        (status = 200, body = Collaborators), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
) -> ApiResult<Json<Collaborators>> {
    let id = AdapterId::from(path);
    let adapter = visible(&app, &id, &caller.member_viewer()).await?;
    permit_on(&app, &caller, ManageCollaborators, &id).await?;
    describe(&app, adapter).await.map(Json)
}

/// Everybody and every team with a role for an adapter.
pub(in crate::api) async fn describe(app: &App, adapter: VisibleAdapter) -> ApiResult<Collaborators> {
    let collaborators = collaborators::all(&app.db, &adapter).await?;
    let teams = team_collaborators::all(&app.db, &adapter).await?;
    Ok(Collaborators { adapter: adapter.id, collaborators, teams })
}
