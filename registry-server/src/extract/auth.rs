//! From the `Authorization` header to a caller.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};

use crate::{
    app::App,
    db::tokens,
    domain::{
        permissions::{Caller, Viewer},
        secret::TokenSecret,
    },
    error::{ApiError, ApiResult},
};

/// A request that must come with a valid token.
pub(crate) struct Authenticated(pub(crate) Caller);

/// A request that may come with a token. A wrong one is refused, not ignored:
/// its owner would take the answer for their own.
pub(crate) struct Reader(pub(crate) Viewer);

impl FromRequestParts<App> for Authenticated {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        caller(&parts.headers, app).await?.map(Self).ok_or_else(|| {
            ApiError::unauthorized("this needs a token").hint("log in with `hub login` and try again")
        })
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        Ok(Self(caller(&parts.headers, app).await?.map_or_else(Viewer::anonymous, |c| c.viewer())))
    }
}

async fn caller(headers: &HeaderMap, app: &App) -> ApiResult<Option<Caller>> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
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
        Some(caller) => Ok(Some(caller)),
        None => Err(ApiError::unauthorized("the token is unknown, revoked or expired")
            .hint("log in again with `hub login`, or leave the token out to see what is public")),
    }
}
