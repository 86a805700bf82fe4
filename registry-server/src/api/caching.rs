//! Cache headers: what a proxy may keep, and for how long.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY},
};
use hub_schemas::{api::Visibility, digest::Digest};

/// How old an answer of another registry is that could not be asked, in seconds.
pub(super) const STALE: HeaderName = HeaderName::from_static(hub_schemas::api::STALE_HEADER);

/// How long an answer stays right.
#[derive(Debug, Clone, Copy)]
pub(super) enum Freshness {
    /// Content-addressed: forever.
    Immutable,
    /// A minute, then asked again.
    Minute,
}

/// The headers of a cacheable answer.
pub(super) fn headers(
    visibility: Visibility,
    freshness: Freshness,
    etag: &Digest,
) -> [(HeaderName, HeaderValue); 3] {
    let control = match (visibility, freshness) {
        (Visibility::Public, Freshness::Immutable) => "public, max-age=31536000, immutable",
        (Visibility::Internal | Visibility::Private, Freshness::Immutable) => {
            "private, max-age=31536000, immutable"
        }
        (Visibility::Public, Freshness::Minute) => "public, max-age=60",
        (Visibility::Internal | Visibility::Private, Freshness::Minute) => "private, no-cache",
    };
    let tag = HeaderValue::try_from(tag(etag)).unwrap_or(HeaderValue::from_static("\"\""));
    // Who asks decides what exists: a shared cache must not mix callers.
    [
        (CACHE_CONTROL, HeaderValue::from_static(control)),
        (ETAG, tag),
        (VARY, HeaderValue::from_static("authorization")),
    ]
}

/// A strong entity tag.
pub(super) fn tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client has this content already.
pub(super) fn is_current(request: &HeaderMap, etag: &Digest) -> bool {
    let tag = tag(etag);
    request.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).any(|header| {
        header.split(',').map(str::trim).any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag)
    })
}
