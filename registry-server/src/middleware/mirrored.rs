//! Refuses everything that would change a name of another registry.

use axum::{
    extract::{RawPathParams, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hub_schemas::name::Namespace;

use crate::app::App;

/// Looks at the parameters of the route, which are decoded, not at the path: every route
/// that changes something of a namespace has it as `namespace`.
pub(crate) async fn mirrored(
    State(app): State<App>,
    parameters: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let namespace = parameters.iter().flatten().find(|(name, _)| *name == "namespace");
    let namespace = namespace.and_then(|(_, text)| text.parse::<Namespace>().ok());
    let changed = namespace.filter(|_| !request.method().is_safe());
    match changed.and_then(|namespace| app.mirrors.refuse_changes(&namespace).err()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}
