//! `PUT /api/v1/namespaces/{namespace}/teams/{team}/members/{user}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use super::no_team;
use crate::{
    api::{permit_in, require_user},
    app::App,
    db::teams,
    domain::permissions::ManageMembers,
    error::ApiResult,
    extract::{ApiPath, Authenticated, TeamMemberPath},
};

/// Puts a user into a team.
#[utoipa::path(
    put, path = "/api/v1/namespaces/{namespace}/teams/{team}/members/{user}", tag = "access",
    security(("token" = ["admin"])),
    params(TeamMemberPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn add_member(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(TeamMemberPath { namespace, team, user }): ApiPath<TeamMemberPath>,
) -> ApiResult<StatusCode> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    let mut tx = app.db.write().await?;
    require_user(&mut tx, &user).await?;
    if !teams::add_member(&mut tx, &permit, &namespace, &team, &user).await? {
        return Err(no_team(&namespace, &team));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
