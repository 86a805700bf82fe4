//! The bytes of a file, continued where a connection broke.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use hub_schemas::{digest::Digest, name::AdapterId};

use super::{Upstream, UpstreamError, upstream::Source};
use crate::domain::huggingface::RepositoryFile;

/// Connections that break one after the other without a byte in between.
const BREAKS: u32 = 3;

/// Bytes on their way.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, UpstreamError>>;

/// Where a file is asked for.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In another one of these registries, by its content.
    Blob(AdapterId, Digest),
    /// In a repository of a Hugging Face hub, by its name.
    Repository(Source, RepositoryFile),
}

/// A file on its way.
struct Download {
    upstream: Arc<Upstream>,
    place: Place,
    size: u64,
    /// Bytes that came so far.
    seen: u64,
    breaks: u32,
    body: Option<Pieces>,
}

/// At most `size` bytes, in pieces, not checked against the digest yet.
pub(super) fn bytes(upstream: Arc<Upstream>, place: Place, size: u64) -> Pieces {
    let download = Download { upstream, place, size, seen: 0, breaks: 0, body: None };
    stream::try_unfold(download, async |mut download| {
        Ok(download.next().await?.map(|piece| (piece, download)))
    })
    .boxed()
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let body = if let Some(body) = &mut self.body {
                body
            } else {
                let upstream = &self.upstream;
                let asked = match &self.place {
                    Place::Blob(id, digest) => upstream.blob(id, digest, self.seen).await?.boxed(),
                    Place::Repository(source, file) => upstream.file(source, file, self.seen).await?.boxed(),
                };
                self.body.insert(asked)
            };
            match body.next().await {
                Some(Ok(piece)) => {
                    self.seen += piece.len() as u64;
                    self.breaks = 0;
                    if self.seen > self.size {
                        let reason = format!("more than the {} bytes that it should have", self.size);
                        return Err(self.upstream.wrong(reason));
                    }
                    return Ok(Some(piece));
                }
                None if self.seen == self.size => return Ok(None),
                None => self.broke("it ended early")?,
                Some(Err(error)) => self.broke(&error.to_string())?,
            }
        }
    }

    /// Asks for the rest, unless that was tried often enough.
    fn broke(&mut self, reason: &str) -> Result<(), UpstreamError> {
        self.body = None;
        self.breaks += 1;
        if self.breaks < BREAKS {
            return Ok(());
        }
        let url = self.upstream.name().to_owned();
        Err(UpstreamError::Unreachable {
            url,
            reason: format!("a file broke off at byte {} of {}: {reason}", self.seen, self.size),
        })
    }
}
