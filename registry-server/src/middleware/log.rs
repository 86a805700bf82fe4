//! One log line and one count per request, after it was answered, and a span where traces are exported.

use std::time::Instant;

use axum::{
    extract::{Extension, MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use super::RequestId;
use crate::{
    app::App,
    error::ApiError,
    trace::{Span, method_name},
};

/// Logs and counts. Paths are logged as patterns: names of private adapters and
/// queries stay out of the log.
pub(crate) async fn log(
    State(app): State<App>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let span = Span::server(&request, app.scheme, &id);
    let method = method_name(request.method());
    let matched = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let route = matched.as_deref().unwrap_or("(none)");
    let response = span.around(next.run(request)).await;
    span.answered(response.status());
    let _within = span.enter();
    let (status, took) = (response.status().as_u16(), began.elapsed());
    app.telemetry.request(method, route, status, took);
    let duration_ms = took.as_millis() as u64;
    match response.extensions().get::<ApiError>() {
        Some(ApiError { problem, cause: Some(cause), .. }) => tracing::error!(
            request.id = %id, http.method = method, http.route = route, http.status = status, duration_ms,
            problem.code = problem.code.as_str(), cause = %cause,
            "{method} {route} answered {status} after {duration_ms} ms: {cause}"
        ),
        Some(ApiError { problem, .. }) => tracing::info!(
            request.id = %id, http.method = method, http.route = route, http.status = status, duration_ms,
            problem.code = problem.code.as_str(),
            "{method} {route} answered {status} {} after {duration_ms} ms", problem.code.as_str()
        ),
        None => tracing::info!(
            request.id = %id, http.method = method, http.route = route, http.status = status, duration_ms,
            "{method} {route} answered {status} after {duration_ms} ms"
        ),
    }
    response
}
