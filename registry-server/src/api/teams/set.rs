//! `PUT /api/v1/namespaces/{namespace}/teams/{team}`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{NamespaceKind, SetTeam, Team},
    problem::{Problem, ProblemCode},
};

use super::no_owner;
use crate::{
    api::permit_in,
    app::App,
    db::{namespaces, teams},
    domain::permissions::ManageMembers,
    error::{ApiError, ApiResult},
    extract::{ApiJson, ApiPath, Authenticated, TeamPath},
};

/// Makes a team, or changes what its people are in the namespace.
#[utoipa::path(
    put, path = "/api/v1/namespaces/{namespace}/teams/{team}", tag = "access", security(("token" = ["admin"])),
    params(TeamPath),
    request_body = SetTeam,
    responses(
        (status = 200, body = Team), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The namespace is a user's"),
    ),
)]
pub(crate) async fn set(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(TeamPath { namespace, team }): ApiPath<TeamPath>,
    ApiJson(SetTeam { role }): ApiJson<SetTeam>,
) -> ApiResult<Json<Team>> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    role.map_or(Ok(()), no_owner)?;
    if namespaces::kind(&app.db, &namespace).await? == Some(NamespaceKind::User) {
        let detail = format!("`{namespace}` is the namespace of a user; organisations have teams");
        return Err(
            ApiError::new(ProblemCode::Conflict, detail).hint("`hub org create NAME` makes an organisation")
        );
    }
    let mut tx = app.db.write().await?;
    teams::set(&mut tx, &permit, &namespace, &team, role).await?;
    tx.commit().await?;
    let found = teams::all(&app.db, &namespace).await?.into_iter().find(|found| found.name == team);
    found.map(Json).ok_or_else(|| ApiError::internal(format!("there was a team `{team}` a moment ago")))
}
