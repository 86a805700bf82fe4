//! `GET /readyz`

use axum::extract::State;
use hub_schemas::problem::{Problem, ProblemCode};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// Database and storage answer.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses((status = 200, body = String), (status = 503, body = Problem)),
)]
pub(crate) async fn ready(State(app): State<App>) -> ApiResult<&'static str> {
    let not_ready = |what: &str, cause: String| {
        ApiError::with_cause(ProblemCode::Unavailable, &format!("the {what} does not answer"), cause)
    };
    app.db.ping().await.map_err(|e| not_ready("database", e.to_string()))?;
    let storage =
        async { if app.read_only { app.storage.probe_reading().await } else { app.storage.probe().await } };
    storage.await.map_err(|e| not_ready("storage", e.to_string()))?;
    Ok("ready\n")
}
