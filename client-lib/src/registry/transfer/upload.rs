//! Uploading a file in chunks, each from where the registry says.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use hub_schemas::{
    api::{PartAddress, SentPart, StartUpload, UploadPart, UploadStatus},
    problem::ProblemCode,
};
use reqwest::{Body, Method, header};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};
use url::Url;

use super::{Blob, CHUNK_BYTES, STALL_AFTER, Sent, stall::Pulse};
use crate::registry::{
    Direction, Event, RegistryClient, RegistryError, Transfer,
    http::display_url,
    send::{Attempts, PUBLISH_DEADLINE},
};

/// Bytes that are read from disk at once; memory stays at a few of these.
const PIECE_BYTES: usize = 128 << 10;
/// How often a file is started over because the registry lost the upload.
const MAX_RESTARTS: u32 = 3;

impl RegistryClient {
    /// Uploads the file at `path` as `blob`, continuing an upload that was cut off.
    pub async fn upload(&self, blob: &Blob<'_>, path: &Path) -> Result<Sent, RegistryError> {
        let announce = StartUpload { digest: blob.digest, size: blob.size, kind: blob.kind };
        let mut status = self.start_upload(blob.adapter, &announce).await?;
        if status.complete {
            self.reporter().event(&Event::Skipped { name: blob.name, size: blob.size });
            return Ok(Sent::Nothing);
        }
        let mut is_continued = status.received > 0;
        let meter = self.reporter().transfer(&Transfer {
            direction: Direction::Upload,
            name: blob.name,
            digest: blob.digest,
            size: blob.size,
            resumed_at: status.received,
        });
        let mut attempts = Attempts::new(&self.sender);
        let mut restarts = 0;
        let mut direct = status.direct;
        while !status.complete {
            let sent = if direct {
                self.send_direct(blob, path, &status).await
            } else {
                self.send_chunk(blob, path, &status).await
            };
            match sent {
                Ok(next) => {
                    if next.received > status.received {
                        attempts.made_headway();
                        meter.advance(next.received - status.received);
                    }
                    status = next;
                    continue;
                }
                Err(error) => match error.code() {
                    // The registry stands at another byte, and says which.
                    Some(ProblemCode::OffsetMismatch) if restarts < MAX_RESTARTS => restarts += 1,
                    Some(ProblemCode::NotFound) if restarts < MAX_RESTARTS => {
                        restarts += 1;
                        status = self.start_upload(blob.adapter, &announce).await?;
                        is_continued = status.received > 0;
                        meter.set(status.received);
                        continue;
                    }
                    Some(ProblemCode::DigestMismatch) => {
                        return Err(RegistryError::NotDescribed { path: path.to_owned() });
                    }
                    // Whatever keeps this machine from the store: the registry can be reached.
                    _ if direct => {
                        tracing::debug!(%error, "The registry's store is not reached; its bytes go through the registry");
                        direct = false;
                    }
                    _ => attempts.next(error).await?,
                },
            }
            status = self.upload_status(&status.id).await?;
            meter.set(status.received);
        }
        Ok(if is_continued { Sent::Rest } else { Sent::All })
    }

    /// Sends the next chunk once to the registry's store itself, which never sees the token, and tells
    /// the registry of it.
    async fn send_direct(
        &self,
        blob: &Blob<'_>,
        path: &Path,
        status: &UploadStatus,
    ) -> Result<UploadStatus, RegistryError> {
        let (start, size) = next_chunk(blob, path, status)?;
        let parts = ["uploads", status.id.as_str(), "parts"];
        let wanted = UploadPart { start, size };
        let request = self.api(Method::POST, &parts).json(&wanted);
        let address: PartAddress =
            self.sender.json(self.sender.send_once(request).await?, "address of a part").await?;
        let url = self.store_url(&address.url)?;
        let shown = display_url(&url);
        let pulse = Pulse::default();
        let body = chunk_body(path, start, size, pulse.clone()).await?;
        let request = (self.sender.stored(Method::PUT, url)).header(header::CONTENT_LENGTH, size).body(body);
        let response = pulse.watch(STALL_AFTER, &shown, self.sender.send_once(request)).await?;
        let etag = response.headers().get(header::ETAG).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let sent = SentPart { start, size, etag: etag.to_owned() };
        // After the last one the registry reads the whole file.
        let request = self.api(Method::PUT, &parts).timeout(PUBLISH_DEADLINE).json(&sent);
        self.sender.json(self.sender.send_once(request).await?, "upload").await
    }

    /// The address of a store, which what is sent to a secure registry goes to only as securely.
    fn store_url(&self, text: &str) -> Result<Url, RegistryError> {
        let registry = self.url();
        let refuse = |reason: &str| RegistryError::Malformed {
            what: "address of a part",
            url: display_url(registry),
            reason: reason.to_owned(),
        };
        let url: Url = text.parse().map_err(|_| refuse("it is none"))?;
        match (registry.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => Ok(url),
            _ => Err(refuse("it is not secure, and the registry is")),
        }
    }

    /// Sends the next chunk once.
    async fn send_chunk(
        &self,
        blob: &Blob<'_>,
        path: &Path,
        status: &UploadStatus,
    ) -> Result<UploadStatus, RegistryError> {
        let (start, length) = next_chunk(blob, path, status)?;
        let url = self.upload_url(&status.id);
        let shown = display_url(&url);
        let pulse = Pulse::default();
        let body = chunk_body(path, start, length, pulse.clone()).await?;
        let request = (self.sender.request(Method::PATCH, url))
            .header(header::CONTENT_RANGE, format!("bytes {start}-{}/{}", start + length - 1, blob.size))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length)
            .body(body);
        let send = async { self.sender.json(self.sender.send_once(request).await?, "upload").await };
        pulse.watch(STALL_AFTER, &shown, send).await
    }
}

/// The first byte of the next chunk, and how many it has.
fn next_chunk(blob: &Blob<'_>, path: &Path, status: &UploadStatus) -> Result<(u64, u64), RegistryError> {
    let start = status.received;
    let length = (blob.size.saturating_sub(start)).min(CHUNK_BYTES);
    if length == 0 {
        let reason = format!("the registry has {start} bytes of it, the manifest says {}", blob.size);
        return Err(RegistryError::Changed { path: path.to_owned(), reason });
    }
    Ok((start, length))
}

/// `length` bytes of the file from `start`, read piece by piece while they are sent.
async fn chunk_body(path: &Path, start: u64, length: u64, pulse: Pulse) -> Result<Body, RegistryError> {
    let mut file = File::open(path).await.map_err(RegistryError::read(path))?;
    let there = file.metadata().await.map_err(RegistryError::read(path))?.len();
    if there < start + length {
        let reason = format!("it has {there} bytes now");
        return Err(RegistryError::Changed { path: path.to_owned(), reason });
    }
    file.seek(std::io::SeekFrom::Start(start)).await.map_err(RegistryError::read(path))?;
    let pieces = stream::try_unfold((file, length), move |(mut file, left)| {
        let pulse = pulse.clone();
        async move {
            if left == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
            file.read_exact(&mut piece).await?;
            pulse.beat();
            let left = left - piece.len() as u64;
            Ok(Some((Bytes::from(piece), (file, left))))
        }
    });
    Ok(Body::wrap_stream(pieces))
}
