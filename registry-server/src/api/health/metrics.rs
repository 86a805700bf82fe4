//! `GET /metrics`

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::{
    app::App,
    db::jobs::{self, Count},
    jobs::kinds,
};

/// Counts and latencies in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    // The queue is everybody's: each process shows the same numbers.
    match jobs::counts(&app.db).await {
        Ok(counts) => {
            // A kind whose last job is done has no row.
            let done = kinds().filter(|kind| counts.iter().all(|count| count.kind != *kind));
            let done = done.map(|kind| Count { kind: kind.to_owned(), waiting: 0, failed: 0 });
            done.chain(counts.iter().cloned()).for_each(|c| app.telemetry.jobs(&c.kind, c.waiting, c.failed));
        }
        Err(error) => tracing::warn!(%error, "Could not count the jobs: {error}"),
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.telemetry.render())
}
