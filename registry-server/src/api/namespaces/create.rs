//! `POST /api/v1/namespaces`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{CreateOrganisation, NamespaceInfo},
    problem::{Problem, ProblemCode},
};

use super::info::describe;
use crate::{
    app::App,
    db::{members, namespaces, reserved},
    domain::{
        names,
        permissions::{self, Resource, may},
    },
    error::{ApiError, ApiResult},
    extract::{ApiJson, Authenticated},
};

/// Makes an organisation, which the caller owns.
#[utoipa::path(
    post, path = "/api/v1/namespaces", tag = "access", security(("token" = ["admin"])),
    request_body = CreateOrganisation,
    responses(
        (status = 201, body = NamespaceInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 409, body = Problem, description = "The name is taken"),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiJson(CreateOrganisation { name }): ApiJson<CreateOrganisation>,
) -> ApiResult<(StatusCode, Json<NamespaceInfo>)> {
    let permit = may(&(&caller).into(), permissions::CreateOrganisation, &Resource::Registry)?;
    let mut tx = app.db.write().await?;
    let reason = match reserved::reason(&mut tx, &name).await? {
        None if names::is_reserved(&name) => Some("it would speak for the registry".to_owned()),
        reason => reason,
    };
    if let Some(reason) = reason {
        let kept = ApiError::new(ProblemCode::Conflict, format!("the name `{name}` is reserved: {reason}"));
        return Err(kept.hint("choose another name, or ask an administrator of the registry for it"));
    }
    if !namespaces::insert(&mut tx, &permit, &name).await? {
        let taken = ApiError::new(ProblemCode::Conflict, format!("the name `{name}` is taken"));
        return Err(taken.hint("choose another name"));
    }
    members::found(&mut tx, &permit, &name, caller.user()).await?;
    tx.commit().await?;
    describe(&app, name).await.map(|info| (StatusCode::CREATED, Json(info)))
}
