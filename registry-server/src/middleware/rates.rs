//! Refuses what comes too fast, and says on every answer how much is left.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    app::App,
    domain::rate::{Taken, WINDOW},
    error::ApiError,
};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where the extractor of the token leaves what it found about the user.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserRate(Arc<Mutex<Option<Taken>>>);

impl UserRate {
    /// Tells the middleware.
    pub(crate) fn set(&self, taken: Taken) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
    }

    fn get(&self) -> Option<Taken> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts requests of the API by address; the extractor of tokens counts them by user.
pub(crate) async fn rates(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let rates = &app.limiter.rates;
    if !request.uri().path().starts_with("/api/") || (rates.user.is_none() && rates.address.is_none()) {
        return next.run(request).await;
    }
    let address = address(request.headers(), request.extensions(), rates.trust_forwarded_for)
        .and_then(|found| app.limiter.address(found));
    let user = UserRate::default();
    let mut response = match address {
        Some(taken) if taken.retry_after.is_some() => {
            ApiError::too_fast(&taken, "this address").into_response()
        }
        _ => {
            request.extensions_mut().insert(user.clone());
            next.run(request).await
        }
    };
    let known = [("address", address), ("user", user.get())];
    let known = known.into_iter().filter_map(|(name, taken)| Some((name, taken?)));
    // The one that is used up first is what the client must know.
    if let Some((name, taken)) = known.min_by(|(_, a), (_, b)| share(a).total_cmp(&share(b))) {
        tell(response.headers_mut(), name, &taken);
    }
    response
}

fn share(taken: &Taken) -> f64 {
    f64::from(taken.remaining) / f64::from(taken.limit.max(1))
}

/// Two fields of the IETF's draft `ratelimit-headers`.
fn tell(headers: &mut HeaderMap, name: &str, taken: &Taken) {
    let seconds = taken.retry_after.unwrap_or(taken.full_in).as_secs_f64().ceil();
    let limit = format!("\"{name}\";r={};t={seconds}", taken.remaining);
    let policy = format!("\"{name}\";q={};w={}", taken.limit, WINDOW.as_secs());
    for (field, text) in [(&RATE_LIMIT, limit), (&RATE_LIMIT_POLICY, policy)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(field.clone(), value);
        }
    }
}

/// Who sent it: the peer, or whom the proxy says that it speaks for.
pub(crate) fn address(
    headers: &HeaderMap,
    extensions: &Extensions,
    trust_forwarded_for: bool,
) -> Option<IpAddr> {
    if trust_forwarded_for {
        // The proxy adds what it saw at the end; what stands before came from outside.
        let last = headers.get_all(&FORWARDED_FOR).iter().next_back();
        let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        if last.is_some() {
            return last;
        }
    }
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}
