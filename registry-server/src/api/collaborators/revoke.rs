//! `DELETE /api/v1/adapters/{namespace}/{name}/collaborators/{user}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::{permit_on, visible},
    app::App,
    db::collaborators,
    domain::permissions::ManageCollaborators,
    error::{ApiError, ApiResult},
    extract::{ApiPath, Authenticated, CollaboratorPath},
};

/// Takes a user's role for an adapter away.
#[utoipa::path(
    delete, path = "/api/v1/adapters/{namespace}/{name}/collaborators/{user}", tag = "access",
    security(("token" = ["admin"])),
    params(CollaboratorPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<CollaboratorPath>,
) -> ApiResult<StatusCode> {
    let id = path.adapter();
    let adapter = visible(&app, &id, &caller.member_viewer()).await?;
    let permit = permit_on(&app, &caller, ManageCollaborators, &id).await?;
    let mut tx = app.db.write().await?;
    if !collaborators::remove(&mut tx, &permit, &adapter, &path.user).await? {
        return Err(ApiError::not_found(format!("`{}` is not a collaborator of `{id}`", path.user)));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
