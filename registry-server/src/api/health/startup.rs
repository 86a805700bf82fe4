//! `GET /startupz`

use axum::extract::State;
use hub_schemas::problem::{Problem, ProblemCode};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// The start is over: the database has this version's schema. A server listens only
/// after that, so nothing answers before; what fails later is `/readyz`'s to say.
#[utoipa::path(
    get, path = "/startupz", tag = "operation",
    responses((status = 200, body = String), (status = 503, body = Problem)),
)]
pub(crate) async fn startup(State(app): State<App>) -> ApiResult<&'static str> {
    app.db.require_current().await.map_err(|e| {
        ApiError::with_cause(ProblemCode::Unavailable, "the database is not migrated to this version", e)
    })?;
    Ok("started\n")
}
