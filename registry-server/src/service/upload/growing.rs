//! Uploads that grow in a local file, which is hashed as it grows: their last step is a new name for it.
//!
//! What came before a connection broke is acknowledged, and what comes on a slow one every few seconds. A part
//! that another request appends to is left alone, and so is one that a killed server appended to: the bytes go
//! into a part of their own, and all are joined in the end.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use hub_schemas::digest::DigestHasher;

use super::{Broken, begin_again, finish, other_digest, reload, wrong_length};
use crate::{
    app::App,
    db::{
        new_id,
        uploads::{self, StoredPart, Upload},
    },
    domain::permissions::Caller,
    error::ApiResult,
    storage::{Growing, Key, StorageError},
};

/// As long as it takes that much is lost with a server that is killed, and a fast upload flushes once.
const ACKNOWLEDGED_EVERY: Duration = Duration::from_secs(3);
/// Fewer bytes are not worth a flush and a transaction, however slowly they come.
const WORTH_ACKNOWLEDGING: u64 = 512 << 10;

/// A file that grows, with the part that it is.
struct Place {
    file: Growing,
    part: StoredPart,
    /// How many bytes of the upload are acknowledged.
    received: u64,
    /// Whether everything that came before was hashed as it came.
    is_hashed: bool,
}

/// Appends the bytes of `range`. The upload as it is then; `None` when another request was faster.
pub(super) async fn append(
    app: &App,
    owner: &Caller,
    upload: &Upload,
    range: &Range<u64>,
    mut body: impl Stream<Item = Result<Bytes, Broken>> + Unpin,
) -> ApiResult<Option<Upload>> {
    let Some(mut place) = place(app, owner, upload).await? else { return Ok(None) };
    let (mut came, mut since) = (0, Instant::now());
    loop {
        match body.next().await {
            None => break,
            Some(Ok(piece)) => {
                came += piece.len() as u64;
                place.file.push(piece).await?;
            }
            Some(Err(Broken::CutOff)) if came > 0 => {
                acknowledge(app, upload, &mut place, range.start + came).await?;
                app.telemetry.uploaded(came);
                return Err(Broken::CutOff.into());
            }
            Some(Err(broken)) => return Err(broken.into()),
        }
        let end = range.start + came;
        if end - place.received >= WORTH_ACKNOWLEDGING && since.elapsed() >= ACKNOWLEDGED_EVERY {
            if !acknowledge(app, upload, &mut place, end).await? {
                return Ok(None);
            }
            since = Instant::now();
        }
    }
    if range.start + came != range.end {
        return Err(wrong_length(range.end - range.start));
    }
    app.telemetry.uploaded(came);
    if range.end == upload.size && place.received == 0 {
        return whole(app, upload, place).await.map(Some);
    }
    let counted = acknowledge(app, upload, &mut place, range.end).await?;
    // Whoever comes next can append to it.
    drop(place);
    if counted { Ok(Some(reload(app, owner, &upload.id).await?)) } else { Ok(None) }
}

/// A file in which nothing was acknowledged, and everything is.
async fn whole(app: &App, upload: &Upload, place: Place) -> ApiResult<Upload> {
    let object = Key::blob(&upload.digest, &upload.id);
    place.file.become_object(&object, &upload.digest).await?.map_err(|found| other_digest(upload, &found))?;
    finish(app, upload, &object).await
}

/// Where the next bytes go: behind the last ones where those can be continued, or into a file of their own.
async fn place(app: &App, owner: &Caller, upload: &Upload) -> ApiResult<Option<Place>> {
    let received = upload.received;
    // Parts are acknowledged with their bytes.
    let last = if received > 0 { uploads::parts(&app.db, upload).await?.pop() } else { None };
    let hasher = hashed(upload, last.as_ref());
    if let Some(last) = last
        && let Some(hasher) = &hasher
        && let Some(claim) = app.storage.claim(&last.object).await?
    {
        // Whoever had the claim before may have appended since this request looked.
        let now = reload(app, owner, &upload.id).await?;
        if now != *upload || uploads::parts(&app.db, &now).await?.pop().as_ref() != Some(&last) {
            return Ok(None);
        }
        let length = last.range.end - last.range.start;
        return match claim.continued(length, hasher.clone()).await {
            Ok(file) => Ok(Some(Place { file, part: last, received, is_hashed: true })),
            // Another request settled it.
            Err(StorageError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let object = Key::part(&upload.id, received, &new_id());
    let part = StoredPart { range: received..received, object };
    let is_hashed = hasher.is_some();
    let file = app.storage.create_growing(&part.object, hasher.unwrap_or_default()).await?;
    Ok(file.map(|file| Place { file, part, received, is_hashed }))
}

/// Takes note of everything up to `end`; `false` when another request was faster.
async fn acknowledge(app: &App, upload: &Upload, place: &mut Place, end: u64) -> ApiResult<bool> {
    let file = place.file.keep().await?;
    place.part.range.end = end;
    let hashed = place.is_hashed.then(|| suspended(&file, &place.part));
    let mut tx = app.db.write().await?;
    let counted = uploads::grow(&mut tx, upload, place.received, &place.part, hashed.as_deref()).await?;
    if counted {
        tx.commit().await?;
        place.received = end;
    } else if place.part.range.start == place.received {
        app.storage.delete(&place.part.object).await?;
    }
    Ok(counted)
}

/// Makes the only part of an upload with all its bytes the blob; `None` where they have to be joined.
pub(super) async fn settle(app: &App, upload: &Upload, parts: &[StoredPart]) -> ApiResult<Option<Key>> {
    let [part] = parts else { return Ok(None) };
    let Some(hasher) = hashed(upload, Some(part)).filter(|_| part.range.start == 0) else { return Ok(None) };
    if !app.storage.has_growing_files() {
        return Ok(None);
    }
    let found = hasher.finish();
    if found != upload.digest {
        begin_again(app, upload, parts).await?;
        return Err(other_digest(upload, &found));
    }
    let object = Key::blob(&upload.digest, &upload.id);
    match app.storage.rename(&part.object, &object, upload.size).await {
        Ok(()) => Ok(Some(object)),
        // A server did that and was killed, or another request did; else joining finds out what is wrong.
        Err(StorageError::NotFound(_)) => match app.storage.size(&object).await {
            Ok(size) => Ok((size == upload.size).then_some(object)),
            Err(StorageError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        },
        Err(StorageError::OtherParts(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The hash of everything up to the end of `last`, as the table keeps it. A server of the previous release, which
/// may run beside this one, appends and begins again without it: it counts for this part alone.
fn suspended(hasher: &DigestHasher, last: &StoredPart) -> String {
    format!("{}@{}", hasher.suspend(), last.object)
}

/// The hash of everything acknowledged, of which `last` is the last part; `None` where nobody knows it.
fn hashed(upload: &Upload, last: Option<&StoredPart>) -> Option<DigestHasher> {
    let Some(last) = last else {
        return (upload.received == 0).then(DigestHasher::default);
    };
    let (suspended, object) = upload.hashed.as_deref()?.split_once('@')?;
    let hasher = DigestHasher::resume(suspended)?;
    let is_of_all = hasher.len() == upload.received && last.range.end == upload.received;
    (is_of_all && object == last.object.to_string()).then_some(hasher)
}
