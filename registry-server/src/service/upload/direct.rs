//! Uploads whose bytes go from the client to the store itself: it gets an address for one part, that
//! expires, and says what the store called the part.
//!
//! Nobody here saw those bytes, and nothing that a client or a store says about them is believed: the
//! whole object is read once and compared with its digest before it counts.

use std::{ops::Range, time::Duration};

use futures_util::TryStreamExt as _;
use hub_schemas::{
    api::{SentPart, UploadPart},
    digest::DigestHasher,
    problem::ProblemCode,
};
use time::OffsetDateTime;

use super::{object, offset_mismatch, reload, settle};
use crate::{
    app::App,
    db::uploads::{self, Begun, NOT_HASHED, Upload},
    domain::permissions::Caller,
    error::{ApiError, ApiResult},
    jobs::{DeleteObject, Job as _},
    storage::{Key, MIN_PART, Multipart, Part},
};

/// Long enough for a part on a slow line; whoever is slower asks again.
const ADDRESS_LASTS: Duration = Duration::from_mins(15);
/// A part that breaks off is sent again as a whole.
const MAX_PART: u64 = 64 << 20;
/// What stores call parts is shorter.
const MAX_NAME: usize = 200;

/// Whether the bytes of this upload can go to the store itself.
pub(crate) fn is_possible(app: &App, upload: &Upload) -> bool {
    let worth_it = app.redirect_from.is_some_and(|from| upload.size >= from.max(1));
    // What began as objects of its own goes on as such.
    worth_it && app.storage.signs_parts() && (upload.multipart.is_some() || upload.received == 0)
}

/// Where the next part goes to.
pub(crate) async fn address(
    app: &App,
    owner: &Caller,
    upload: &Upload,
    wanted: UploadPart,
) -> ApiResult<(String, OffsetDateTime)> {
    range(app, upload, wanted)?;
    let Some(begun) = object::begun(app, upload).await? else {
        return Err(offset_mismatch(&reload(app, owner, &upload.id).await?));
    };
    let key = Key::blob(&upload.digest, &upload.id);
    let object = Multipart { key: &key, id: &begun.id };
    let before = uploads::count_parts(&app.db, upload).await?;
    let expires_at = OffsetDateTime::now_utc() + ADDRESS_LASTS;
    let url = app.storage.part_url(object, before, ADDRESS_LASTS).await?;
    Ok((url.ok_or_else(impossible)?, expires_at))
}

/// Takes note of a part that the store has.
pub(crate) async fn acknowledge(
    app: &App,
    owner: &Caller,
    upload: &Upload,
    sent: SentPart,
) -> ApiResult<Upload> {
    let range = range(app, upload, UploadPart { start: sent.start, size: sent.size })?;
    let name = sent.etag;
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::invalid_value("`etag` is not what a store calls a part"));
    }
    let Some(begun) = &upload.multipart else { return Err(offset_mismatch(upload)) };
    let begun = Begun { id: begun.id.clone(), hashed: NOT_HASHED.to_owned() };
    let mut tx = app.db.write().await?;
    let counted = uploads::append_parts(&mut tx, upload, &begun, &range, &[Part(name)]).await?;
    tx.commit().await?;
    let now = reload(app, owner, &upload.id).await?;
    if !counted {
        return Err(offset_mismatch(&now));
    }
    settle(app, owner, now).await
}

fn range(app: &App, upload: &Upload, part: UploadPart) -> ApiResult<Range<u64>> {
    if !is_possible(app, upload) {
        return Err(impossible());
    }
    if upload.complete || part.start != upload.received {
        return Err(offset_mismatch(upload));
    }
    let end = part.start.checked_add(part.size).filter(|&end| part.size > 0 && end <= upload.size);
    let Some(end) = end else {
        let detail =
            format!("{} bytes from {} on are not within the file's {}", part.size, part.start, upload.size);
        return Err(ApiError::invalid_value(detail));
    };
    if part.size > MAX_PART || (part.size < MIN_PART && end < upload.size) {
        let detail = format!("a part of {} bytes is too large or too small for the store", part.size);
        return Err(ApiError::invalid_value(detail)
            .hint(format!("send {MIN_PART} to {MAX_PART} bytes at once, or all that is left")));
    }
    Ok(part.start..end)
}

fn impossible() -> ApiError {
    ApiError::new(ProblemCode::Conflict, "this registry takes the bytes of this file itself")
        .hint("send them with `PATCH`")
}

/// Compares an object whose bytes came past this registry with what was announced. Another one is
/// forgotten with its upload: its key never means anything again.
pub(super) async fn verify(app: &App, upload: &Upload, key: &Key) -> ApiResult<()> {
    let mut pieces = app.storage.get(key, None).await?;
    let mut hasher = DigestHasher::default();
    while let Some(piece) = pieces.try_next().await? {
        hasher.update(&piece);
        if hasher.len() > upload.size {
            break;
        }
    }
    let size = hasher.len();
    let found = hasher.finish();
    if size == upload.size && found == upload.digest {
        app.telemetry.uploaded(size);
        return Ok(());
    }
    let mut tx = app.db.write().await?;
    uploads::delete(&mut tx, &upload.id).await?;
    DeleteObject::new(key).enqueue(&mut tx).await?;
    tx.commit().await?;
    let detail = format!("the store has other bytes than those of {}, which was announced", upload.digest);
    Err(ApiError::new(ProblemCode::DigestMismatch, detail)
        .hint("announce the file again, and send it from byte 0"))
}
