//! Refuses everything that would change a registry that takes no changes.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hub_schemas::problem::ProblemCode;

use crate::{app::App, error::ApiError};

/// Lets through what only reads, by the methods that HTTP defines as safe (RFC 9110, section 9.2.1).
pub(crate) async fn read_only(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.read_only && !request.method().is_safe() {
        return ApiError::new(ProblemCode::ReadOnly, "this registry takes no changes at the moment")
            .hint("nothing was changed: pulls work, and pushes will once its operator ends this")
            .into_response();
    }
    next.run(request).await
}
