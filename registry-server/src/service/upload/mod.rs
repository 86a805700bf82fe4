//! The life of an upload: parts come in, the whole is verified, a blob goes out.

use std::{ops::Range, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use hub_schemas::{api::UploadStatus, digest::Digest, problem::ProblemCode};

use crate::{
    app::App,
    db::{
        new_id,
        uploads::{self, Finished, StoredPart, Upload},
    },
    domain::permissions::Caller,
    error::{ApiError, ApiResult},
    jobs::{DeleteObject, Job as _},
    storage::{Key, MIN_PART, PutError, Storage, StorageError, Written},
};

pub(crate) mod direct;
mod growing;
mod object;

/// A sender that is silent for so long has gone; its connection is not kept.
const SILENCE: Duration = Duration::from_mins(1);

/// What the API says about an upload.
pub(crate) fn status(app: &App, upload: &Upload) -> UploadStatus {
    UploadStatus {
        id: upload.id.clone(),
        digest: upload.digest,
        size: upload.size,
        received: upload.received,
        complete: upload.complete,
        direct: !upload.complete && direct::is_possible(app, upload),
    }
}

/// Stores the bytes of `range`. They are acknowledged (and never lost) once this returns.
pub(crate) async fn append(
    app: &App,
    owner: &Caller,
    upload: &Upload,
    range: Range<u64>,
    body: Body,
) -> ApiResult<Upload> {
    if upload.complete || range.start != upload.received {
        return Err(offset_mismatch(upload));
    }
    let length = range.end - range.start;
    let body = Box::pin(bounded(body, length));
    if app.storage.has_growing_files() && upload.multipart.is_none() {
        return match growing::append(app, owner, upload, &range, body).await? {
            Some(now) => settle(app, owner, now).await,
            None => Err(offset_mismatch(&reload(app, owner, &upload.id).await?)),
        };
    }
    let body = body.map(|piece| piece.map_err(ApiError::from));
    if range == (0..upload.size) && upload.multipart.is_none() {
        return whole(app, upload, body).await;
    }
    let grows = upload.multipart.is_some() || (app.storage.has_multipart() && length >= MIN_PART);
    let counted = if grows {
        object::append(app, upload, &range, body).await?
    } else {
        part(app, upload, &range, body).await?
    };
    if !counted {
        // Another request sent the same bytes and was faster.
        return Err(offset_mismatch(&reload(app, owner, &upload.id).await?));
    }
    app.telemetry.uploaded(length);
    settle(app, owner, reload(app, owner, &upload.id).await?).await
}

/// A file that comes in one piece goes to its place at once.
async fn whole(
    app: &App,
    upload: &Upload,
    body: impl Stream<Item = ApiResult<Bytes>> + Unpin,
) -> ApiResult<Upload> {
    let accept = |written: &Written| match written {
        written if written.size != upload.size => Err(wrong_length(upload.size)),
        written if written.digest != upload.digest => Err(other_digest(upload, &written.digest)),
        _ => Ok(()),
    };
    let object = Key::blob(&upload.digest, &upload.id);
    app.storage.put(&object, body, accept).await.map_err(problem)?;
    app.telemetry.uploaded(upload.size);
    finish(app, upload, &object).await
}

/// Stores one part as an object of its own; `false` when another request was faster.
async fn part(
    app: &App,
    upload: &Upload,
    range: &Range<u64>,
    body: impl Stream<Item = ApiResult<Bytes>> + Unpin,
) -> ApiResult<bool> {
    let object = Key::part(&upload.id, range.start, &new_id());
    let expected = range.end - range.start;
    let accept =
        |written: &Written| if written.size == expected { Ok(()) } else { Err(wrong_length(expected)) };
    app.storage.put(&object, body, accept).await.map_err(problem)?;
    let mut tx = app.db.write().await?;
    let counted = uploads::append(&mut tx, upload, range, &object).await?;
    tx.commit().await?;
    if !counted {
        app.storage.delete(&object).await?;
    }
    Ok(counted)
}

/// Turns an upload that has all its bytes into a blob; any other one is returned as it is.
///
/// A server that was killed after the last part comes here again with the next
/// request about the upload.
pub(crate) async fn settle(app: &App, owner: &Caller, upload: Upload) -> ApiResult<Upload> {
    if upload.complete || upload.received < upload.size {
        return Ok(upload);
    }
    let settled = match &upload.multipart {
        Some(begun) => object::settle(app, &upload, begun).await?,
        None => of_parts(app, &upload).await?,
    };
    if let Some(object) = settled {
        return finish(app, &upload, &object).await;
    }
    // Another request settled it meanwhile, and the parts are gone.
    let now = reload(app, owner, &upload.id).await?;
    if now.complete || now.received < now.size {
        Ok(now)
    } else {
        Err(ApiError::internal(format!("the parts of upload {} are incomplete", upload.id)))
    }
}

/// Makes one object of parts that are objects of their own; `None` when they are gone.
async fn of_parts(app: &App, upload: &Upload) -> ApiResult<Option<Key>> {
    let parts = uploads::parts(&app.db, upload).await?;
    match growing::settle(app, upload, &parts).await? {
        None => join(app, upload, &parts).await,
        object => Ok(object),
    }
}

/// Joins parts that are objects of their own; `None` when they are gone.
async fn join(app: &App, upload: &Upload, parts: &[StoredPart]) -> ApiResult<Option<Key>> {
    let storage = app.storage.clone();
    let pieces = stream::iter(parts.to_vec())
        .then(move |StoredPart { range, object }| {
            let storage = storage.clone();
            // What somebody else appended behind it, and was too late with, does not count.
            async move { storage.get(&object, Some(0..range.end - range.start)).await }
        })
        .flat_map(|part| match part {
            Ok(pieces) => pieces.map(|piece| piece.map_err(Unsettled::Storage)).boxed(),
            Err(error) => stream::iter([Err(Unsettled::Storage(error))]).boxed(),
        });
    let accept = |written: &Written| match written {
        written if written.size != upload.size => Err(Unsettled::Moved),
        written if written.digest != upload.digest => Err(Unsettled::OtherDigest(written.digest)),
        _ => Ok(()),
    };
    let object = Key::blob(&upload.digest, &upload.id);
    match app.storage.put(&object, Box::pin(pieces), accept).await {
        Ok(_) => Ok(Some(object)),
        Err(PutError::Body(Unsettled::OtherDigest(found))) => {
            begin_again(app, upload, parts).await?;
            Err(other_digest(upload, &found))
        }
        Err(PutError::Body(Unsettled::Moved | Unsettled::Storage(StorageError::NotFound(_)))) => Ok(None),
        Err(PutError::Body(Unsettled::Storage(error)) | PutError::Storage(error)) => Err(error.into()),
    }
}

/// Lets an upload whose `parts` turned out wrong start from its first byte.
async fn begin_again(app: &App, upload: &Upload, parts: &[StoredPart]) -> ApiResult<()> {
    let mut tx = app.db.write().await?;
    uploads::reset(&mut tx, upload, parts).await?;
    tx.commit().await?;
    // Only these: the upload may have begun again by now.
    for part in parts {
        app.storage.delete(&part.object).await?;
    }
    Ok(())
}

/// Notes that the bytes at `object` are the whole file.
async fn finish(app: &App, upload: &Upload, object: &Key) -> ApiResult<Upload> {
    let mut tx = app.db.write().await?;
    let finished = uploads::complete(&mut tx, upload, object).await?;
    // A cancelled one may share its key with a request that was faster and published it:
    // what is left of it is found as an object without a row.
    if finished == Finished::Known {
        DeleteObject::new(object).enqueue(&mut tx).await?;
    }
    tx.commit().await?;
    if finished == Finished::Cancelled {
        return Err(no_upload(&upload.id));
    }
    if upload.multipart.is_none() && upload.received > 0 {
        app.storage.delete_all(&Key::upload(&upload.id)).await?;
    }
    Ok(Upload { complete: true, received: upload.size, ..upload.clone() })
}

/// Removes what the storage has of an upload that the database has forgotten.
pub(crate) async fn discard(storage: &Storage, upload: &Upload) -> Result<(), StorageError> {
    match &upload.multipart {
        Some(begun) if !upload.complete => object::abort(storage, upload, begun).await,
        Some(_) => Ok(()),
        None => storage.delete_all(&Key::upload(&upload.id)).await,
    }
}

/// Why an upload with all its bytes is no blob yet.
enum Unsettled {
    Moved,
    OtherDigest(Digest),
    Storage(StorageError),
}

fn problem(error: PutError<ApiError>) -> ApiError {
    match error {
        PutError::Body(problem) => problem,
        PutError::Storage(error) => error.into(),
    }
}

fn other_digest(upload: &Upload, found: &Digest) -> ApiError {
    let detail = format!("the bytes have the digest {found}; {} was announced", upload.digest);
    ApiError::new(ProblemCode::DigestMismatch, detail)
        .hint("the upload starts again from byte 0: send the file again")
}

async fn reload(app: &App, owner: &Caller, id: &str) -> ApiResult<Upload> {
    uploads::find(&app.db, owner, id).await?.ok_or_else(|| no_upload(id))
}

/// The answer for an upload that does not exist or is somebody else's.
pub(crate) fn no_upload(id: &str) -> ApiError {
    let id: String = id.chars().take(80).collect();
    ApiError::not_found(format!("there is no upload `{id}`")).hint("announce the file again")
}

fn offset_mismatch(upload: &Upload) -> ApiError {
    let detail = format!("the next byte of this upload is {} of {}", upload.received, upload.size);
    ApiError::new(ProblemCode::OffsetMismatch, detail).hint("continue there")
}

/// Why a body can't be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// The connection broke, or nothing came for long.
    CutOff,
    /// It has more than these bytes, which were announced.
    TooLong(u64),
}

impl From<Broken> for ApiError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::CutOff => Self::bad_request("the body did not arrive whole").hint("send it again"),
            Broken::TooLong(expected) => wrong_length(expected),
        }
    }
}

/// The body, cut off with an error where it has more bytes than announced or falls silent.
fn bounded(body: Body, expected: u64) -> impl Stream<Item = Result<Bytes, Broken>> {
    let state = (body.into_data_stream(), 0_u64);
    stream::try_unfold(state, move |(mut body, mut seen)| async move {
        let piece = match tokio::time::timeout(SILENCE, body.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) | Err(_) => return Err(Broken::CutOff),
        };
        seen += piece.len() as u64;
        if seen > expected {
            return Err(Broken::TooLong(expected));
        }
        Ok(Some((piece, (body, seen))))
    })
}

pub(super) fn wrong_length(expected: u64) -> ApiError {
    ApiError::invalid_value(format!("the body has not the {expected} bytes that `Content-Range` states"))
}
