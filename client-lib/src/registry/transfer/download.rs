//! Downloading a file into a partial one, from wherever that stands.

use std::path::Path;

use reqwest::{Method, Response, StatusCode, header};

use super::{Blob, STALL_AFTER, resume::Partial, stall::Pulse};
use crate::registry::{
    Direction, Event, Meter, RegistryClient, RegistryError, Transfer, http::display_url, send::Attempts,
};

impl RegistryClient {
    /// Downloads `blob` into the file at `partial`, which holds the beginning
    /// already when an earlier download was cut off. On success the file has exactly
    /// the right bytes and is flushed to disk; otherwise it stays, to be continued,
    /// unless its bytes are wrong.
    ///
    /// The caller sees to it that nobody else writes to `partial`.
    pub async fn download(&self, blob: &Blob<'_>, partial: &Path) -> Result<(), RegistryError> {
        let mut file = Partial::open(partial, blob.size).await?;
        let resumed_at = file.len();
        let meter = self.reporter().transfer(&Transfer {
            direction: Direction::Download,
            name: blob.name,
            digest: blob.digest,
            size: blob.size,
            resumed_at,
        });
        self.fill(blob, &mut file, meter.as_ref()).await?;
        if file.digest() != blob.digest && resumed_at > 0 {
            // The bytes of the earlier attempt may be the wrong ones: once more from the start.
            self.reporter().event(&Event::Discarded { name: blob.name });
            file.clear().await?;
            meter.set(0);
            self.fill(blob, &mut file, meter.as_ref()).await?;
        }
        let found = file.digest();
        if found == blob.digest {
            return file.finish().await;
        }
        file.clear().await?;
        Err(RegistryError::Corrupt { what: blob.name.to_owned(), expected: blob.digest, found })
    }

    /// Adds bytes until there are `blob.size`, over as many connections as it takes.
    async fn fill(
        &self,
        blob: &Blob<'_>,
        file: &mut Partial,
        meter: &dyn Meter,
    ) -> Result<(), RegistryError> {
        let mut attempts = Attempts::new(&self.sender);
        while file.len() < blob.size {
            let before = file.len();
            let result = self.stream(blob, file, meter).await;
            // Bytes that arrived are kept, whatever happened after them.
            file.flush().await?;
            if file.len() > before {
                attempts.made_headway();
            }
            match result {
                Ok(()) => {}
                Err(error) => attempts.next(error).await?,
            }
        }
        Ok(())
    }

    /// One request for what is missing.
    async fn stream(
        &self,
        blob: &Blob<'_>,
        file: &mut Partial,
        meter: &dyn Meter,
    ) -> Result<(), RegistryError> {
        let url = self.blob_url(blob.adapter, &blob.digest);
        let shown = display_url(&url);
        let mut request = self.sender.request(Method::GET, url);
        if file.len() > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", file.len()));
        }
        let pulse = Pulse::default();
        let answer = pulse.watch(STALL_AFTER, &shown, self.sender.send_once(request)).await;
        let mut response = match answer {
            // The file there is shorter than the part here: start again.
            Err(error) if file.len() > 0 && is_range_refused(&error) => {
                file.clear().await?;
                meter.set(0);
                return Ok(());
            }
            other => other?,
        };
        if file.len() > 0 && !continues_at(&response, file.len()) {
            file.clear().await?;
            meter.set(0);
        }
        loop {
            let piece = async { response.chunk().await.map_err(|e| RegistryError::transport(&shown, e)) };
            let Some(piece) = pulse.watch(STALL_AFTER, &shown, piece).await? else { break };
            let room = blob.size - file.len();
            if piece.len() as u64 > room {
                return Err(RegistryError::Malformed {
                    what: "file",
                    url: shown,
                    reason: format!("more than the {} bytes that `{}` has", blob.size, blob.name),
                });
            }
            file.push(&piece).await?;
            meter.advance(piece.len() as u64);
        }
        if file.len() < blob.size {
            let reason = format!("it ended after {} of {} bytes", file.len(), blob.size);
            return Err(RegistryError::CutShort { url: shown, reason });
        }
        Ok(())
    }
}

fn is_range_refused(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Problem { problem, .. } if problem.status == 416)
        || matches!(error, RegistryError::NotARegistry { status: 416, .. })
}

/// Whether the answer's first byte is number `start`: a server without ranges sends all of it again.
fn continues_at(response: &Response, start: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok());
    let first = range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    response.status() == StatusCode::PARTIAL_CONTENT && first == Some(start)
}
