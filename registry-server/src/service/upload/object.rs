//! Uploads that grow in the store itself: chunks become parts of an object at its
//! final place, and the digest is computed as they come, so the last step reads nothing.

use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use hub_schemas::digest::DigestHasher;
use hub_schemas::problem::ProblemCode;

use super::{direct, other_digest, problem, wrong_length};
use crate::{
    app::App,
    db::uploads::{self, Begun, NOT_HASHED, Upload},
    error::{ApiError, ApiResult},
    storage::{Key, MIN_PART, Multipart, Part, Storage, StorageError},
};

/// Appends a chunk; `false` when another request was faster.
pub(super) async fn append(
    app: &App,
    upload: &Upload,
    range: &Range<u64>,
    body: impl Stream<Item = ApiResult<Bytes>> + Unpin,
) -> ApiResult<bool> {
    let length = range.end - range.start;
    if length < MIN_PART && range.end < upload.size {
        let detail = format!("a chunk of {length} bytes can't follow larger ones on this registry");
        return Err(ApiError::invalid_value(detail)
            .hint(format!("send at least {MIN_PART} bytes at once, or all that is left")));
    }
    let Some(begun) = begun(app, upload).await? else { return Ok(false) };
    let hasher = hasher(&begun)?;
    let key = Key::blob(&upload.digest, &upload.id);
    let object = Multipart { key: &key, id: &begun.id };
    let before = uploads::count_parts(&app.db, upload).await?;
    let appended = app.storage.append(object, before, hasher, length, body).await;
    let (parts, hasher) = appended.map_err(problem)?;
    let seen = if begun.hashed == NOT_HASHED { range.start } else { 0 };
    if seen + hasher.len() != range.end {
        return Err(wrong_length(length));
    }
    // What came before went past here, so the whole is read in the end.
    let hashed = if begun.hashed == NOT_HASHED { begun.hashed } else { hasher.suspend() };
    let begun = Begun { id: begun.id, hashed };
    let mut tx = app.db.write().await?;
    let counted = uploads::append_parts(&mut tx, upload, &begun, range, &parts).await?;
    tx.commit().await?;
    Ok(counted)
}

/// The object of this upload, begun if there is none; `None` when another request began one.
pub(super) async fn begun(app: &App, upload: &Upload) -> ApiResult<Option<Begun>> {
    if let Some(begun) = &upload.multipart {
        return Ok(Some(begun.clone()));
    }
    let key = Key::blob(&upload.digest, &upload.id);
    let Some(id) = app.storage.begin(&key).await? else { return Ok(None) };
    let mut tx = app.db.write().await?;
    let ours = uploads::begin(&mut tx, upload, &id).await?;
    tx.commit().await?;
    if !ours {
        app.storage.abort(Multipart { key: &key, id: &id }).await?;
        return Ok(None);
    }
    Ok(Some(Begun { id, hashed: String::new() }))
}

/// Makes the parts an object; `None` when another request did that and more.
pub(super) async fn settle(app: &App, upload: &Upload, begun: &Begun) -> ApiResult<Option<Key>> {
    let key = Key::blob(&upload.digest, &upload.id);
    let object = Multipart { key: &key, id: &begun.id };
    let seen = begun.hashed != NOT_HASHED;
    let found = hasher(begun)?.finish();
    if seen && found != upload.digest {
        start_again(app, upload, object).await?;
        return Err(other_digest(upload, &found));
    }
    let parts = uploads::part_names(&app.db, upload).await?.into_iter().map(Part).collect::<Vec<_>>();
    match app.storage.complete(object, &parts).await {
        Ok(()) => {}
        Err(StorageError::NotFound(_)) => {
            if !is_confirmed(app, upload, &key, seen).await? {
                start_again(app, upload, object).await?;
                return Ok(None);
            }
        }
        Err(StorageError::OtherParts(_)) => {
            start_again(app, upload, object).await?;
            let detail = "two requests sent different bytes of this file at the same time";
            return Err(ApiError::new(ProblemCode::DigestMismatch, detail)
                .hint("the upload starts again from byte 0: send the file again"));
        }
        Err(error) => return Err(error.into()),
    }
    if !seen {
        direct::verify(app, upload, &key).await?;
    }
    Ok(Some(key))
}

/// Whether the object was confirmed before, by a server that was killed or by another request.
async fn is_confirmed(app: &App, upload: &Upload, key: &Key, seen: bool) -> ApiResult<bool> {
    match app.storage.size(key).await {
        // What was not seen here is read whole anyway.
        Ok(size) => Ok(size == upload.size || !seen),
        Err(StorageError::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn start_again(app: &App, upload: &Upload, object: Multipart<'_>) -> ApiResult<()> {
    let mut tx = app.db.write().await?;
    uploads::reset_object(&mut tx, upload, object.id).await?;
    tx.commit().await?;
    Ok(app.storage.abort(object).await?)
}

/// Throws the parts away.
pub(super) async fn abort(storage: &Storage, upload: &Upload, begun: &Begun) -> Result<(), StorageError> {
    let key = Key::blob(&upload.digest, &upload.id);
    storage.abort(Multipart { key: &key, id: &begun.id }).await
}

fn hasher(begun: &Begun) -> ApiResult<DigestHasher> {
    if begun.hashed.is_empty() || begun.hashed == NOT_HASHED {
        return Ok(DigestHasher::default());
    }
    DigestHasher::resume(&begun.hashed)
        .ok_or_else(|| ApiError::internal("a suspended digest in the table `uploads` can't be read"))
}
