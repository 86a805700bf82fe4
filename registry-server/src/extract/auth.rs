//! From the `Authorization` header to a caller.

use axum::{
    extract::FromRequestParts,
    http::{header::AUTHORIZATION, request::Parts},
};

use crate::{
    app::App,
    db::tokens,
    domain::{
        permissions::{Caller, Viewer},
        secret::TokenSecret,
    },
    error::{ApiError, ApiResult},
    middleware::UserRate,
};

/// A request that must come with a valid token.
pub(crate) struct Authenticated(pub(crate) Caller);

/// A request that may come with a token. A wrong one is refused, not ignored:
/// its owner would take the answer for their own.
pub(crate) struct Reader(pub(crate) Viewer);

impl FromRequestParts<App> for Authenticated {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        caller(parts, app).await?.map(Self).ok_or_else(|| {
            ApiError::unauthorized("this needs a token").hint("log in with `hub login` and try again")
        })
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        Ok(Self(caller(parts, app).await?.map_or_else(Viewer::anonymous, |c| c.viewer())))
    }
}

async fn caller(parts: &Parts, app: &App) -> ApiResult<Option<Caller>> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Ok(None) };
    let secret = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| TokenSecret::parse(token.trim()));
    let known = match secret {
        Some(secret) => tokens::caller(&app.db, &secret).await?,
        None => None,
    };
    match known {
        Some(caller) => count(parts, app, &caller).map(|()| Some(caller)),
        None => Err(ApiError::unauthorized("the token is unknown, revoked or expired")
            .hint("log in again with `hub login`, or leave the token out to see what is public")),
    }
}

/// Refuses a user who asks too fast, and tells the middleware how much is left.
fn count(parts: &Parts, app: &App, caller: &Caller) -> ApiResult<()> {
    let Some(taken) = app.limiter.user(caller.user()) else { return Ok(()) };
    if let Some(rate) = parts.extensions.get::<UserRate>() {
        rate.set(taken);
    }
    match taken.retry_after {
        Some(_) => Err(ApiError::too_fast(&taken, &format!("`{}`", caller.user()))),
        None => Ok(()),
    }
}
