//! Request bodies that are read whole, because they are small and bounded.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use hub_schemas::{
    api::{CONTENT_DIGEST_HEADER, parse_content_digest},
    digest::Digest,
    manifest::MAX_MANIFEST_BYTES,
    problem::ProblemCode,
};
use serde::de::DeserializeOwned;

use crate::{
    cause::causes,
    error::{ApiError, ApiResult},
};

/// No request of this API but a manifest or a file comes near it.
const MAX_JSON_BYTES: usize = 64 << 10;

/// A JSON body.
pub(crate) struct ApiJson<T>(pub(crate) T);

/// The bytes of a manifest: those that its `Content-Digest` names, where it has one.
pub(crate) struct ManifestBytes(pub(crate) Bytes);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, _: &S) -> ApiResult<Self> {
        let bytes = read(request.into_body(), MAX_JSON_BYTES, "the body").await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|e| ApiError::bad_request(format!("the body is not the expected JSON: {e}")))
    }
}

impl<S: Send + Sync> FromRequest<S> for ManifestBytes {
    type Rejection = ApiError;
    async fn from_request(request: Request, _: &S) -> ApiResult<Self> {
        let stated = stated_digest(request.headers())?;
        let bytes = read(request.into_body(), MAX_MANIFEST_BYTES, "the manifest").await?;
        match stated.map(|stated| (stated, Digest::of(&bytes))) {
            Some((stated, found)) if stated != found => {
                let detail =
                    format!("the manifest has the digest {found}, and its `Content-Digest` names {stated}");
                Err(ApiError::new(ProblemCode::DigestMismatch, detail)
                    .hint("it was damaged on its way here; send it again"))
            }
            _ => Ok(Self(bytes)),
        }
    }
}

/// What the sender says that the body is.
fn stated_digest(headers: &HeaderMap) -> ApiResult<Option<Digest>> {
    let wrong = |e: &dyn std::fmt::Display| {
        ApiError::bad_request(format!("the header `Content-Digest` can't be read: {e}"))
    };
    // Several lines are one list.
    for value in headers.get_all(CONTENT_DIGEST_HEADER) {
        let text = value.to_str().map_err(|e| wrong(&e))?;
        if let Some(digest) = parse_content_digest(text).map_err(|e| wrong(&e))? {
            return Ok(Some(digest));
        }
    }
    Ok(None)
}

async fn read(body: Body, limit: usize, what: &str) -> ApiResult<Bytes> {
    let declared = axum::body::HttpBody::size_hint(&body).lower();
    let too_large = || {
        ApiError::new(ProblemCode::TooLarge, format!("{what} has more than the {limit} bytes that are read"))
    };
    if declared > limit as u64 {
        return Err(too_large());
    }
    to_bytes(body, limit).await.map_err(|e| {
        if causes(&e).any(|cause| cause.to_string().contains("length limit exceeded")) {
            return too_large();
        }
        ApiError::bad_request(format!("{what} did not arrive whole"))
    })
}
