//! The bytes of a file, continued where a connection broke.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use hub_schemas::{digest::Digest, name::AdapterId};

use super::{Upstream, UpstreamError};

/// Connections that break one after the other without a byte in between.
const BREAKS: u32 = 3;

/// A file on its way.
struct Download {
    upstream: Arc<Upstream>,
    id: AdapterId,
    digest: Digest,
    size: u64,
    /// Bytes that came so far.
    seen: u64,
    breaks: u32,
    body: Option<BoxStream<'static, Result<Bytes, UpstreamError>>>,
}

/// At most `size` bytes, in pieces, not checked against the digest yet.
pub(super) fn bytes(
    upstream: Arc<Upstream>,
    id: AdapterId,
    digest: Digest,
    size: u64,
) -> impl Stream<Item = Result<Bytes, UpstreamError>> + Send + Unpin {
    let download = Download { upstream, id, digest, size, seen: 0, breaks: 0, body: None };
    Box::pin(stream::try_unfold(download, async |mut download| {
        Ok(download.next().await?.map(|piece| (piece, download)))
    }))
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let body = if let Some(body) = &mut self.body {
                body
            } else {
                let asked = self.upstream.blob(&self.id, &self.digest, self.seen).await?;
                self.body.insert(asked.boxed())
            };
            match body.next().await {
                Some(Ok(piece)) => {
                    self.seen += piece.len() as u64;
                    self.breaks = 0;
                    if self.seen > self.size {
                        let reason = format!("more than the {} bytes that the manifest states", self.size);
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
