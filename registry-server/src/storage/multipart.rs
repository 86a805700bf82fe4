//! One object in many requests, over days and from any replica, as S3's multipart
//! uploads do it: the bytes of an upload go to their final place once, and become
//! an object when their digest is known to be right.
//!
//! Who appends keeps what [`Storage::append`] returns (in the database); two
//! requests that send the same part overwrite each other, and the store refuses to
//! complete an object whose parts are not the ones that were kept.

use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use futures_util::Stream;
use hub_schemas::digest::DigestHasher;
use object_store::{
    multipart::{MultipartStore, PartId},
    signer::SignedUrlOptions,
};

use super::{Key, PutError, Storage, StorageError, write::Pieces};

/// S3 refuses smaller parts, the last apart.
pub(crate) const MIN_PART: u64 = 5 << 20;

/// A part the store has, by the name it gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part(pub(crate) String);

/// An object that is being put together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Multipart<'a> {
    /// What it will be.
    pub(crate) key: &'a Key,
    /// What the store calls it until then.
    pub(crate) id: &'a str,
}

impl Storage {
    /// Begins an object; `None` where the store has no such thing.
    pub(crate) async fn begin(&self, key: &Key) -> Result<Option<String>, StorageError> {
        match &self.multipart {
            Some(store) => {
                let span = self.span("CreateMultipartUpload");
                Ok(Some(span.judged(store.create_multipart(&self.at(key)).await)?))
            }
            None => Ok(None),
        }
    }

    /// Whether the store puts objects together from parts.
    pub(crate) const fn has_multipart(&self) -> bool {
        self.multipart.is_some()
    }

    /// Appends `body` after `before` parts, hashing on from `hasher`. `size` is what
    /// `body` is announced to have; the parts are cut so that none is too small.
    pub(crate) async fn append<E>(
        &self,
        object: Multipart<'_>,
        before: usize,
        hasher: DigestHasher,
        size: u64,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(Vec<Part>, DigestHasher), PutError<E>> {
        let store = self.store_of_parts()?;
        let mut body = Pieces::new(body, part_size(size));
        body.hasher = hasher;
        let (mut parts, mut number) = (Vec::new(), before);
        while !body.ended {
            let piece = body.next().await.map_err(PutError::Body)?;
            if piece.content_length() == 0 {
                break;
            }
            let id = object.id.to_owned();
            let span = self.span("UploadPart");
            let part = span.judged(store.put_part(&self.at(object.key), &id, number, piece).await);
            let part = part.map_err(StorageError::from)?;
            parts.push(Part(part.content_id));
            number += 1;
        }
        Ok((parts, body.hasher))
    }

    /// Whether there are addresses to which anybody can send a part.
    pub(crate) const fn signs_parts(&self) -> bool {
        self.multipart.is_some() && self.signer.is_some()
    }

    /// Where anybody can send the part behind `before` others for `lasting`; `None` where the store has no
    /// such addresses.
    pub(crate) async fn part_url(
        &self,
        object: Multipart<'_>,
        before: usize,
        lasting: Duration,
    ) -> Result<Option<String>, StorageError> {
        let Some(signer) = self.signer.as_ref().filter(|_| self.signs_parts()) else { return Ok(None) };
        // S3 counts parts from 1.
        let query = [("partNumber", (before + 1).to_string()), ("uploadId", object.id.to_owned())];
        let options = SignedUrlOptions::new().with_query(query);
        let url = signer.signed_url_opts(Method::PUT, &self.at(object.key), lasting, &options).await?;
        Ok(Some(url.into()))
    }

    /// Makes the parts an object.
    pub(crate) async fn complete(&self, object: Multipart<'_>, parts: &[Part]) -> Result<(), StorageError> {
        let parts = parts.iter().map(|part| PartId { content_id: part.0.clone() }).collect();
        let (store, span) = (self.store_of_parts()?, self.span("CompleteMultipartUpload"));
        let done = store.complete_multipart(&self.at(object.key), &object.id.to_owned(), parts).await;
        match span.judged(done) {
            Ok(_) => Ok(()),
            // Only the text of the answer names S3's own error code.
            Err(error) if error.to_string().contains("InvalidPart") => {
                Err(StorageError::OtherParts(Box::new(error)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Throws the parts away.
    pub(crate) async fn abort(&self, object: Multipart<'_>) -> Result<(), StorageError> {
        match self.store_of_parts()?.abort_multipart(&self.at(object.key), &object.id.to_owned()).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn store_of_parts(&self) -> Result<&dyn MultipartStore, StorageError> {
        self.multipart.as_deref().ok_or_else(|| {
            StorageError::Other("an upload was begun on a store of another kind than this one".into())
        })
    }
}

/// Parts of 8 to 16 MiB, or all of `size` in one where it is less.
fn part_size(size: u64) -> usize {
    let parts = (size / super::REMOTE_WRITE as u64).max(1);
    usize::try_from(size.div_ceil(parts)).unwrap_or(super::REMOTE_WRITE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_chunk_is_too_small_or_too_large() {
        for size in [MIN_PART, 8 << 20, (8 << 20) + 1, (16 << 20) - 1, 17 << 20, (2 << 30) - 3] {
            let part = part_size(size) as u64;
            let last = size - (size / part) * part;
            assert!(part <= 16 << 20, "{size}: {part}");
            assert!(part >= MIN_PART, "{size}: {part}");
            assert!(last == 0 || last >= MIN_PART, "{size}: {part} and {last}");
        }
    }
}
