//! `DELETE /api/v1/namespaces/{namespace}/members/{user}`

use axum::{extract::State, http::StatusCode};
use hub_schemas::problem::Problem;

use super::settled;
use crate::{
    api::permit_in,
    app::App,
    db::members,
    domain::permissions::{Leave, ManageMembers},
    error::ApiResult,
    extract::{ApiPath, Authenticated, MemberPath},
};

/// Takes a user's role in a namespace away; one's own needs no other role.
#[utoipa::path(
    delete, path = "/api/v1/namespaces/{namespace}/members/{user}", tag = "access",
    security(("token" = ["admin"])),
    params(MemberPath),
    responses(
        (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The namespace would have no owner"),
    ),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(MemberPath { namespace, user }): ApiPath<MemberPath>,
) -> ApiResult<StatusCode> {
    let (mut tx, changed);
    if user == *caller.user() {
        let permit = permit_in(&app, &caller, Leave, &namespace).await?;
        tx = app.db.write().await?;
        changed = members::leave(&mut tx, &permit, &namespace).await?;
    } else {
        let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
        tx = app.db.write().await?;
        changed = members::remove(&mut tx, &permit, &namespace, &user).await?;
    }
    settled(changed, &namespace, &user)?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
