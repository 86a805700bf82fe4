//! The life of an upload: parts come in, the whole is verified, a blob goes out.

use std::{ops::Range, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use hub_schemas::problem::ProblemCode;

use crate::{
    app::App,
    db::{
        new_id,
        uploads::{self, Upload},
    },
    domain::permissions::Caller,
    error::{ApiError, ApiResult},
    storage::{Key, PutError, StorageError, Written},
};

/// A sender that is silent for so long has gone; its connection is not kept.
const SILENCE: Duration = Duration::from_mins(1);

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
    let object = Key::part(&upload.id, range.start, &new_id());
    let expected = range.end - range.start;
    let body = Box::pin(bounded(body, expected));
    let written = app.storage.put(&object, body, |written| whole(written, expected)).await;
    let written = written.map_err(|error| match error {
        PutError::Body(problem) => problem,
        PutError::Storage(error) => error.into(),
    })?;
    let mut tx = app.db.write().await?;
    let counted = uploads::append(&mut tx, upload, &range, &object).await?;
    tx.commit().await?;
    if !counted {
        // Another request sent the same bytes and was faster.
        app.storage.delete(&object).await?;
        return Err(offset_mismatch(&reload(app, owner, &upload.id).await?));
    }
    app.telemetry.uploaded(written.size);
    settle(app, owner, Upload { received: range.end, ..upload.clone() }).await
}

/// Turns an upload that has all its bytes into a blob; any other one is returned as it is.
///
/// A server that was killed after the last part comes here again with the next
/// request about the upload.
pub(crate) async fn settle(app: &App, owner: &Caller, upload: Upload) -> ApiResult<Upload> {
    if upload.complete || upload.received < upload.size {
        return Ok(upload);
    }
    let parts = uploads::parts(&app.db, &upload).await?;
    let storage = app.storage.clone();
    let pieces = stream::iter(parts.clone())
        .then(move |key| {
            let storage = storage.clone();
            async move { storage.get(&key, None).await }
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
    match app.storage.put(&Key::blob(&upload.digest), Box::pin(pieces), accept).await {
        Ok(_) => {
            let mut tx = app.db.write().await?;
            uploads::complete(&mut tx, &upload).await?;
            tx.commit().await?;
            app.storage.delete_all(&Key::upload(&upload.id)).await?;
            Ok(Upload { complete: true, ..upload })
        }
        Err(PutError::Body(Unsettled::OtherDigest(found))) => {
            let mut tx = app.db.write().await?;
            uploads::reset(&mut tx, &upload, &parts).await?;
            tx.commit().await?;
            // Only these: the upload may have begun again by now.
            for part in &parts {
                app.storage.delete(part).await?;
            }
            let detail = format!("the bytes have the digest {found}; {} was announced", upload.digest);
            Err(ApiError::new(ProblemCode::DigestMismatch, detail)
                .hint("the upload starts again from byte 0: send the file again"))
        }
        // Another request settled it meanwhile, and the parts are gone.
        Err(PutError::Body(Unsettled::Moved | Unsettled::Storage(StorageError::NotFound(_)))) => {
            let now = reload(app, owner, &upload.id).await?;
            if now.complete || now.received < now.size {
                Ok(now)
            } else {
                Err(ApiError::internal(format!("the parts of upload {} are incomplete", upload.id)))
            }
        }
        Err(PutError::Body(Unsettled::Storage(error)) | PutError::Storage(error)) => Err(error.into()),
    }
}

/// Why an upload with all its bytes is no blob yet.
enum Unsettled {
    Moved,
    OtherDigest(hub_schemas::digest::Digest),
    Storage(StorageError),
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

/// The body, cut off with an error where it has more bytes than announced or falls silent.
fn bounded(body: Body, expected: u64) -> impl Stream<Item = ApiResult<Bytes>> {
    let state = (body.into_data_stream(), 0_u64);
    stream::try_unfold(state, move |(mut body, mut seen)| async move {
        let piece = match tokio::time::timeout(SILENCE, body.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) | Err(_) => {
                return Err(ApiError::bad_request("the body did not arrive whole").hint("send it again"));
            }
        };
        seen += piece.len() as u64;
        if seen > expected {
            return Err(wrong_length(expected));
        }
        Ok(Some((piece, (body, seen))))
    })
}

fn whole(written: &Written, expected: u64) -> ApiResult<()> {
    if written.size == expected { Ok(()) } else { Err(wrong_length(expected)) }
}

fn wrong_length(expected: u64) -> ApiError {
    ApiError::bad_request(format!("the body has not the {expected} bytes that `Content-Range` states"))
}
