//! Every request has an id that its answer, its log line and its problem share.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};

/// The header that carries it, both ways.
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A proxy's own id is kept when it is no longer than this.
const MAX_LEN: usize = 64;

/// The id of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Takes the id that a proxy gave, or makes one.
pub(crate) async fn request_id(mut request: Request, next: Next) -> Response {
    let plain = |text: &&str| {
        (1..=MAX_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let given = request.headers().get(&X_REQUEST_ID).and_then(|v| v.to_str().ok()).filter(plain);
    let id = given.map_or_else(crate::db::new_id, ToOwned::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(X_REQUEST_ID.clone(), value);
    }
    response
}
