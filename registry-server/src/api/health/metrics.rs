//! `GET /metrics`

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::app::App;

/// Counts and latencies in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.telemetry.render())
}
