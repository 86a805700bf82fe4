//! `PUT /api/v1/password`

use axum::{extract::State, http::StatusCode};
use hub_schemas::{
    api::ChangePassword,
    problem::{Problem, ProblemCode},
};

use crate::{
    api::tokens::permit,
    app::App,
    db::passwords as table,
    error::{ApiError, ApiResult},
    extract::{ApiJson, Authenticated, Peer},
    service::passwords,
};

/// Sets the caller's password, or changes it for whoever knows the present one. Tokens go on
/// working.
#[utoipa::path(
    put, path = "/api/v1/password", tag = "account", security(("token" = ["admin"])),
    request_body = ChangePassword,
    responses(
        (status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem, description = "Also: the present password is wrong"),
        (status = 409, body = Problem), (status = 429, body = Problem),
    ),
)]
pub(crate) async fn change_password(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Peer(address): Peer,
    ApiJson(ChangePassword { current, new }): ApiJson<ChangePassword>,
) -> ApiResult<StatusCode> {
    let permit = permit(&caller)?;
    let user = caller.user();
    let (right, stored) = passwords::try_password(&app, address, user, current.unwrap_or_default()).await?;
    if stored.is_some() && !right {
        return Err(ApiError::new(ProblemCode::Forbidden, "the present password is wrong")
            .hint("an operator of the registry sets a new one: `hub-server user password NAME`"));
    }
    let hash = passwords::hash_new(&app, user, new).await?;
    let mut tx = app.db.write().await?;
    if !table::set(&mut tx, &permit, user, stored.as_deref(), &hash).await? {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "the password was changed by somebody else just now",
        ));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
