//! Where a request comes from.

use std::{convert::Infallible, net::IpAddr};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{app::App, middleware::address};

/// The client's address, as far as it is known.
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl FromRequestParts<App> for Peer {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self(address(&parts.headers, &parts.extensions, app.limiter.rates.trust_forwarded_for)))
    }
}
