//! `PUT /api/v1/namespaces/{namespace}/members/{user}`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{GrantRole, Member},
    problem::Problem,
};

use super::settled;
use crate::{
    api::{permit_in, require_user},
    app::App,
    db::members,
    domain::permissions::ManageMembers,
    error::{ApiError, ApiResult},
    extract::{ApiJson, ApiPath, Authenticated, MemberPath},
};

/// Gives a user a role in a namespace, in place of the one they have.
#[utoipa::path(
    put, path = "/api/v1/namespaces/{namespace}/members/{user}", tag = "access", security(("token" = ["admin"])),
    params(MemberPath),
    request_body = GrantRole,
    responses(
        (status = 200, body = Member), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The namespace would have no owner"),
    ),
)]
pub(crate) async fn grant(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(MemberPath { namespace, user }): ApiPath<MemberPath>,
    ApiJson(GrantRole { role }): ApiJson<GrantRole>,
) -> ApiResult<Json<Member>> {
    let permit = permit_in(&app, &caller, ManageMembers, &namespace).await?;
    let mut tx = app.db.write().await?;
    require_user(&mut tx, &user).await?;
    settled(members::set(&mut tx, &permit, &namespace, &user, role).await?, &namespace, &user)?;
    tx.commit().await?;
    let found = members::all(&app.db, &namespace).await?.into_iter().find(|member| member.user == user);
    found.map(Json).ok_or_else(|| ApiError::internal(format!("`{user}` was a member a moment ago")))
}
