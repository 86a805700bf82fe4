//! Writing a stream as one object: hashed on the way, visible only if it is accepted.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use hub_schemas::digest::DigestHasher;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};

use super::{Key, PutError, Storage, StorageError, Written};

impl Storage {
    /// Writes `body` under `key` if `accept` agrees with what came; otherwise, and
    /// when `body` fails, nothing is left.
    pub(crate) async fn put<E>(
        &self,
        key: &Key,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        accept: impl FnOnce(&Written) -> Result<(), E>,
    ) -> Result<Written, PutError<E>> {
        let mut body = Pieces::new(body, self.write_size);
        let first = body.next().await.map_err(PutError::Body)?;
        if body.ended {
            // All of it fits into one write: one request instead of three.
            let written = body.written();
            accept(&written).map_err(PutError::Body)?;
            let span = self.span("PutObject");
            span.judged(self.store.put(&self.at(key), first).await).map_err(StorageError::from)?;
            return Ok(written);
        }
        let mut upload = self.store.put_multipart(&self.at(key)).await.map_err(StorageError::from)?;
        let written = match write_all(upload.as_mut(), first, &mut body).await {
            Ok(written) => accept(&written).map(|()| written).map_err(PutError::Body),
            Err(error) => Err(error),
        };
        match written {
            Ok(written) => {
                upload.complete().await.map_err(StorageError::from)?;
                Ok(written)
            }
            Err(error) => {
                // What an abort leaves behind is swept later.
                drop(upload.abort().await);
                Err(error)
            }
        }
    }
}

async fn write_all<E>(
    upload: &mut dyn MultipartUpload,
    first: PutPayload,
    body: &mut Pieces<impl Stream<Item = Result<Bytes, E>> + Unpin>,
) -> Result<Written, PutError<E>> {
    upload.put_part(first).await.map_err(StorageError::from)?;
    while !body.ended {
        let piece = body.next().await.map_err(PutError::Body)?;
        if piece.content_length() > 0 {
            upload.put_part(piece).await.map_err(StorageError::from)?;
        }
    }
    Ok(body.written())
}

/// A body in pieces of exactly `size` bytes, the last apart.
pub(super) struct Pieces<S> {
    body: S,
    size: usize,
    /// What came beyond the last piece.
    rest: Bytes,
    pub(super) hasher: DigestHasher,
    pub(super) ended: bool,
}

impl<E, S: Stream<Item = Result<Bytes, E>> + Unpin> Pieces<S> {
    pub(super) fn new(body: S, size: usize) -> Self {
        Self { body, size, rest: Bytes::new(), hasher: DigestHasher::default(), ended: false }
    }

    /// The next piece; an empty or short one when the body ended.
    pub(super) async fn next(&mut self) -> Result<PutPayload, E> {
        let mut pending: Vec<Bytes> = Vec::new();
        let mut room = self.size;
        while room > 0 {
            let mut piece = std::mem::take(&mut self.rest);
            if piece.is_empty() {
                let Some(next) = self.body.next().await else {
                    self.ended = true;
                    break;
                };
                piece = next?;
                self.hasher.update(&piece);
            }
            self.rest = piece.split_off(piece.len().min(room));
            room -= piece.len();
            pending.push(piece);
        }
        Ok(pending.into_iter().collect())
    }

    fn written(&self) -> Written {
        Written { size: self.hasher.len(), digest: self.hasher.clone().finish() }
    }
}
