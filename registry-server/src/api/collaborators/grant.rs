//! `PUT /api/v1/adapters/{namespace}/{name}/collaborators/{user}`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{Collaborators, GrantRole, Role},
    problem::Problem,
};

use super::list::describe;
use crate::{
    api::{permit_on, require_user, visible},
    app::App,
    db::collaborators,
    domain::permissions::ManageCollaborators,
    error::{ApiError, ApiResult},
    extract::{ApiJson, ApiPath, Authenticated, CollaboratorPath},
};

/// Gives a user a role for an adapter, in place of the one they have for it.
#[utoipa::path(
    put, path = "/api/v1/adapters/{namespace}/{name}/collaborators/{user}", tag = "access",
    security(("token" = ["admin"])),
    params(CollaboratorPath),
    request_body = GrantRole,
    responses(
        (status = 200, body = Collaborators), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(crate) async fn grant(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<CollaboratorPath>,
    ApiJson(GrantRole { role }): ApiJson<GrantRole>,
) -> ApiResult<Json<Collaborators>> {
    let id = path.adapter();
    let adapter = visible(&app, &id, &caller.member_viewer()).await?;
    let permit = permit_on(&app, &caller, ManageCollaborators, &id).await?;
    if role == Role::Owner {
        return Err(ApiError::invalid_value("a namespace has owners; an adapter has `maintainer` and below"));
    }
    let mut tx = app.db.write().await?;
    require_user(&mut tx, &path.user).await?;
    collaborators::set(&mut tx, &permit, &adapter, &path.user, role).await?;
    tx.commit().await?;
    describe(&app, adapter).await.map(Json)
}
