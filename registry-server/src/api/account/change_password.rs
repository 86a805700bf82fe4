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
    domain::token,
    error::{ApiError, ApiResult},
    extract::{ApiJson, Authenticated, Peer},
    service::passwords,
};

/// Changes the caller's password for whoever knows the present one. The first one is set with a
/// token that has every scope and does not expire, as a password makes such tokens. Tokens go on
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
    let present = current.unwrap_or_default();
    let (right, stored) = passwords::try_password(&app, address, user, present).await?;
    if stored.is_some() && !right {
        return Err(
            ApiError::new(ProblemCode::Forbidden, "the present password is wrong").hint(passwords::HINT)
        );
    }
    if stored.is_none() {
        token::sets_first_password(caller.token()).map_err(|error| {
            ApiError::new(ProblemCode::Forbidden, error.to_string()).hint(passwords::HINT)
        })?;
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
