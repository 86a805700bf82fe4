//! `GET` and `HEAD /api/v1/adapters/{namespace}/{name}/blobs/{digest}`

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderName, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, LOCATION,
            RANGE,
        },
    },
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use hub_schemas::problem::Problem;

use crate::{
    api::{
        caching::{self, Freshness},
        in_circulation,
    },
    app::App,
    db::blobs::{self, Blob},
    domain::range::{Wanted, wanted},
    error::{ApiError, ApiResult},
    extract::{ApiPath, BlobPath, Reader},
    mirror,
};

/// A transfer has begun by then; one that breaks asks here again.
const ADDRESS_LASTS: Duration = Duration::from_mins(10);

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
        (status = 304, description = "Not changed"),
        (status = 307, description = "The file is at `location`, for some minutes; no token is needed there"),
        (status = 404, body = Problem),
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
    let adapter = in_circulation(&app, &path.adapter(), &viewer).await?;
    let digest = path.digest;
    let blob = match blobs::find_in(&app.db, &adapter, &digest).await? {
        Some(blob) => Some(blob),
        // On the heap: else every request is as large as the few that come here.
        None => Box::pin(mirror::blob(&app, &viewer, &adapter, &digest)).await?,
    };
    let blob = blob.ok_or_else(|| {
        ApiError::not_found(format!("`{}` has no file with the digest `{digest}`", adapter.id))
    })?;
    let size = blob.size;
    let headers = caching::headers(adapter.visibility, Freshness::Immutable, &digest);
    if caching::is_current(&request, &digest) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    // An address is signed for `GET` alone.
    if method == Method::GET
        && let Some(url) = elsewhere(&app, &blob).await?
    {
        // The address expires, so the answer is nothing to keep. The client asks there
        // for the same range, without its token.
        let headers = [(LOCATION, url), (CACHE_CONTROL, "no-store".to_owned())];
        return Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response());
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
        let pieces = app.storage.get(&blob.object, Some(range)).await?;
        let telemetry = app.telemetry.clone();
        Body::from_stream(pieces.inspect(move |piece| {
            telemetry.downloaded(piece.as_ref().map_or(0, |bytes| bytes.len() as u64));
        }))
    };
    let length = [(CONTENT_LENGTH, length.to_string())];
    Ok((status, headers, AS_IS, length, part.map(axum::response::AppendHeaders), body).into_response())
}

/// Where the store itself serves a large file.
async fn elsewhere(app: &App, blob: &Blob) -> ApiResult<Option<String>> {
    match app.redirect_from {
        Some(from) if blob.size >= from => Ok(app.storage.read_url(&blob.object, ADDRESS_LASTS).await?),
        _ => Ok(None),
    }
}
