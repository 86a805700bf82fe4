//! Leads whoever asks for an adapter's old name to its new one.

use axum::{
    extract::Request,
    http::{HeaderValue, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hub_schemas::{api::API_PREFIX, name::AdapterId, problem::ProblemCode};

use crate::error::ApiError;

/// Reads are led on by a `location`; what would change something is refused, for whoever means
/// the old name may not know what it became.
pub(crate) async fn moved(request: Request, next: Next) -> Response {
    let (safe, uri) = (request.method().is_safe(), request.uri().clone());
    let mut response = next.run(request).await;
    let Some(error) = response.extensions().get::<ApiError>() else { return response };
    let Some(to) = &error.moved_to else { return response };
    if !safe {
        let problem = &error.problem;
        return ApiError::new(ProblemCode::Conflict, problem.detail.clone())
            .hint(problem.hint.clone().unwrap_or_default())
            .into_response();
    }
    if let Some(location) = location(&uri, to).and_then(|text| HeaderValue::try_from(text).ok()) {
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        // An old name can be freed, and then leads here no more.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The same address with the name `to`, relative to the one that was asked for: a proxy may
/// serve the registry below a path of its own.
fn location(uri: &Uri, to: &AdapterId) -> Option<String> {
    let below = uri.path().strip_prefix(API_PREFIX)?;
    // `/adapters/NAMESPACE/NAME` and what follows.
    let segments: Vec<&str> = below.split('/').skip(4).collect();
    let rest: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}{to}{rest}{query}", "../".repeat(segments.len() + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_address_is_relative_and_keeps_what_follows_the_name() {
        let to: AdapterId = "ukp/tone".parse().expect("a name");
        for (old, new) in [
            ("/api/v1/index/ada/x", "../ukp/tone"),
            ("/api/v1/adapters/ada/x/pulls?days=3", "../../ukp/tone/pulls?days=3"),
            ("/api/v1/adapters/ada/x/blobs/sha256:00", "../../../ukp/tone/blobs/sha256:00"),
        ] {
            let found = location(&old.parse().expect("an address"), &to).expect("a location");
            assert_eq!(found, new);
            let base: url::Url = format!("https://hub.example/below{old}").parse().expect("an address");
            let led = base.join(&found).expect("an address");
            assert_eq!(led.path().replace("ukp/tone", "ada/x"), base.path());
        }
    }
}
