//! `DELETE /api/v1/namespaces/{namespace}/teams/{team}/members/{user}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use crate::{
    api::permit_in,
    app::App,
    db::teams,
    domain::permissions::ManageMembers,
    error::{ApiError, ApiResult},
    extract::{ApiPath, Authenticated, TeamMemberPath},
};

/// Takes a user out of a team.
#[utoipa::path(
    delete, path = "/api/v1/namespaces/{namespace}/teams/{team}/members/{user}", tag = "access",
    security(("token" = ["admin"])),
    params(TeamMemberPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn remove_member(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(TeamMemberPath { namespace, team, user }): ApiPath<TeamMemberPath>,
) -> ApiResult<StatusCode> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    let mut tx = app.db.write().await?;
    if !teams::remove_member(&mut tx, &permit, &namespace, &team, &user).await? {
        return Err(ApiError::not_found(format!("`{user}` is not in the team `{team}` of `{namespace}`")));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
