//! Writes the body of every answer that is a problem.

use std::any::Any;

use axum::{
    body::Body,
    extract::{Extension, Request},
    http::{
        HeaderValue,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hub_schemas::problem::PROBLEM_MEDIA_TYPE;

use super::RequestId;
use crate::error::ApiError;

/// Completes a problem with the request's id.
pub(crate) async fn problem(
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let Some(error) = response.extensions().get::<ApiError>() else { return response };
    let mut problem = (*error.problem).clone();
    problem.request_id = Some(id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
    *response.body_mut() = Body::from(body);
    response
}

/// A handler's panic is one failed request, not a dropped connection.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    ApiError::internal(format!("panic: {text}")).into_response()
}
