//! `DELETE /api/v1/namespaces/{namespace}/teams/{team}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use super::no_team;
use crate::{
    api::permit_in,
    app::App,
    db::teams,
    domain::permissions::ManageMembers,
    error::ApiResult,
    extract::{ApiPath, Authenticated, TeamPath},
};

/// Removes a team with its roles; its people keep those that they have themselves.
#[utoipa::path(
    delete, path = "/api/v1/namespaces/{namespace}/teams/{team}", tag = "access",
    security(("token" = ["admin"])),
    params(TeamPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(TeamPath { namespace, team }): ApiPath<TeamPath>,
) -> ApiResult<StatusCode> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    let mut tx = app.db.write().await?;
    if !teams::remove(&mut tx, &permit, &namespace, &team).await? {
        return Err(no_team(&namespace, &team));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
