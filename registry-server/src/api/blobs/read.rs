//! `GET` and `HEAD /api/v1/adapters/{namespace}/{name}/blobs/{digest}`

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderName, Method, StatusCode,
        header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE},
    },
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use hub_schemas::problem::Problem;

use crate::{
    api::{
        caching::{self, Freshness},
        visible,
    },
    app::App,
    db::blobs,
    domain::range::{Wanted, wanted},
    error::{ApiError, ApiResult},
    extract::{ApiPath, BlobPath, Reader},
    storage::Key,
};

/// Bytes are bytes: a browser must never render a published file in the registry's name.
const AS_IS: [(HeaderName, &str); 3] = [
    (CONTENT_TYPE, "application/octet-stream"),
    (ACCEPT_RANGES, "bytes"),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
];

/// Sends a file of a published version, whole or in part.
#[utoipa::path(
    get, path = "/api/v1/adapters/{namespace}/{name}/blobs/{digest}", tag = "files",
    security((), ("token" = [])),
    params(
        BlobPath,
        ("range" = Option<String>, Header, description = "One range of bytes"),
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", description = "The file"),
        (status = 206, content_type = "application/octet-stream", description = "The range"),
        (status = 304, description = "Not changed"), (status = 404, body = Problem),
        (status = 416, body = Problem),
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiPath(path): ApiPath<BlobPath>,
    method: Method,
    request: HeaderMap,
) -> ApiResult<Response> {
    let adapter = visible(&app, &path.adapter(), &viewer).await?;
    let digest = path.digest;
    let size = blobs::size_in(&app.db, &adapter, &digest).await?.ok_or_else(|| {
        ApiError::not_found(format!("`{}` has no file with the digest `{digest}`", adapter.id))
    })?;
    let headers = caching::headers(adapter.visibility, Freshness::Immutable, &digest);
    if caching::is_current(&request, &digest) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let text = |name| request.get(name).and_then(|v| v.to_str().ok());
    // `If-Range` with another tag: the rest of other content would be no use.
    let ranged = text(IF_RANGE).is_none_or(|tag| tag == caching::tag(&digest));
    let (status, range) = match wanted(text(RANGE).filter(|_| ranged), size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => return Err(ApiError::range_not_satisfiable(size)),
    };
    let length = range.end - range.start;
    let part = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| [(CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start, range.end - 1))]);
    let body = if method == Method::HEAD || length == 0 {
        Body::empty()
    } else {
        let pieces = app.storage.get(&Key::blob(&digest), Some(range)).await?;
        let telemetry = app.telemetry.clone();
        Body::from_stream(pieces.inspect(move |piece| {
            telemetry.downloaded(piece.as_ref().map_or(0, |bytes| bytes.len() as u64));
        }))
    };
    let length = [(CONTENT_LENGTH, length.to_string())];
    Ok((status, headers, AS_IS, length, part.map(axum::response::AppendHeaders), body).into_response())
}
