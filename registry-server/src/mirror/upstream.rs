//! Asking another registry.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt as _};
use hub_schemas::{
    api::{API_PREFIX, BaseVersions, ChangesPage, ChangesQuery, IndexDocument, MAX_CHANGES_LIMIT},
    digest::Digest,
    manifest::MAX_MANIFEST_BYTES,
    name::AdapterId,
};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, RANGE},
    redirect,
};

use crate::{config::MirrorConfig, trace::Span};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No byte for so long means that none will come.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// A document comes within this time or not at all.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Who did not answer is not asked again for so long: everybody who waits would wait as long.
const REST: Duration = Duration::from_secs(5);
/// An index of some ten thousand versions.
const MAX_INDEX_BYTES: usize = 8 << 20;
/// A page of as many changes as a page may have, and any other list.
const MAX_CHANGES_BYTES: usize = 1 << 20;
/// A token is shorter.
const MAX_TOKEN_BYTES: usize = 4096;

/// Why another registry did not give what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum UpstreamError {
    /// It can't be reached, or fails.
    #[error("`{url}` does not answer: {reason}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What was found instead.
        reason: String,
    },
    /// It does not have that, or does not show it to this registry.
    #[error("`{url}` answers {status}")]
    Refused {
        /// Which one.
        url: String,
        /// Its answer.
        status: u16,
    },
    /// What it gave is not what it should be.
    #[error("`{url}` sent something else than it should: {reason}")]
    Wrong {
        /// Which one.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// A version list, perhaps under the name that the adapter has now, or that it has not changed.
pub(super) struct IndexAnswer {
    /// `None` when it has not changed.
    pub(super) changed: Option<(IndexDocument, String)>,
    /// Whether anybody may see it there.
    pub(super) public: bool,
}

/// A registry that is mirrored.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(super) config: MirrorConfig,
    client: Client,
    /// When it failed last, and how.
    failed: Mutex<Option<(Instant, UpstreamError)>>,
}

impl Upstream {
    pub(super) fn new(config: MirrorConfig) -> Result<Self, reqwest::Error> {
        // Fails when another part of the process chose a provider before: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // Files may lie in a store of their own. The token stays here: it is not sent to another host.
            .redirect(redirect::Policy::limited(3))
            .build()?;
        Ok(Self { config, client, failed: Mutex::default() })
    }

    /// Its address, as messages show it.
    pub(crate) fn name(&self) -> &str {
        self.config.url.as_str().trim_end_matches('/')
    }

    /// The versions of an adapter, unless they are those that `etag` names.
    pub(super) async fn index(
        &self,
        id: &AdapterId,
        etag: Option<&str>,
    ) -> Result<IndexAnswer, UpstreamError> {
        let mut request =
            self.get(&["index", id.namespace.as_str(), id.name.as_str()])?.timeout(DOCUMENT_TIMEOUT);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = self.send(request).await?;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let public = header(CACHE_CONTROL).split(',').any(|directive| directive.trim() == "public");
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(IndexAnswer { changed: None, public });
        }
        let etag = header(ETAG).to_owned();
        let bytes = self.bounded(response, MAX_INDEX_BYTES).await?;
        let document: IndexDocument = serde_json::from_slice(&bytes).map_err(|e| self.wrong(e))?;
        Ok(IndexAnswer { changed: Some((document, etag)), public })
    }

    /// What changed after `since`.
    pub(super) async fn changes(&self, since: u64) -> Result<ChangesPage, UpstreamError> {
        let query = ChangesQuery { since, limit: Some(MAX_CHANGES_LIMIT), wait: None };
        let request = self.get(&["changes"])?.query(&query).timeout(DOCUMENT_TIMEOUT);
        let bytes = self.bounded(self.send(request).await?, MAX_CHANGES_BYTES).await?;
        let page: ChangesPage = serde_json::from_slice(&bytes).map_err(|e| self.wrong(e))?;
        // Asking for the same page for ever would look like following.
        if page.more && page.next <= since {
            return Err(self.wrong(format!("changes after {since} that lead back to {}", page.next)));
        }
        Ok(page)
    }

    /// The base models with these weights.
    pub(super) async fn bases(&self, weights: &Digest) -> Result<BaseVersions, UpstreamError> {
        let request = self.get(&["bases", &weights.to_string()])?.timeout(DOCUMENT_TIMEOUT);
        let bytes = self.bounded(self.send(request).await?, MAX_CHANGES_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|e| self.wrong(e))
    }

    /// The bytes of a manifest, which have this digest.
    pub(super) async fn manifest(&self, digest: &Digest) -> Result<Bytes, UpstreamError> {
        let request = self.get(&["manifests", &digest.to_string()])?.timeout(DOCUMENT_TIMEOUT);
        let bytes = self.bounded(self.send(request).await?, MAX_MANIFEST_BYTES).await?;
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(self.wrong(format!("a manifest with the digest {found} instead of {digest}")))
        }
    }

    /// The bytes of a file from `start` on, not checked yet.
    pub(super) async fn blob(
        &self,
        id: &AdapterId,
        digest: &Digest,
        start: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, UpstreamError>> + Send + use<>, UpstreamError> {
        let path = ["adapters", id.namespace.as_str(), id.name.as_str(), "blobs", &digest.to_string()];
        let mut request = self.get(&path)?;
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        let response = self.send(request).await?;
        if (start > 0) != (response.status() == StatusCode::PARTIAL_CONTENT) {
            return Err(self.wrong(format!("{} to a request for byte {start}", response.status())));
        }
        let url = self.name().to_owned();
        let failed = move |e| UpstreamError::Unreachable { url: url.clone(), reason: told(&e) };
        Ok(response.bytes_stream().map_err(failed))
    }

    /// Whether it lives and takes the token.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        let request = self.get(&["search"]).map_err(|e| e.to_string())?.timeout(DOCUMENT_TIMEOUT);
        self.send(request.query(&[("limit", "1")])).await.map(drop).map_err(|e| e.to_string())
    }

    pub(super) fn wrong(&self, reason: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Wrong { url: self.name().to_owned(), reason: reason.to_string() }
    }

    fn get(&self, segments: &[&str]) -> Result<reqwest::RequestBuilder, UpstreamError> {
        let mut url: Url = self.config.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(API_PREFIX.split('/').filter(|part| !part.is_empty()))
                .extend(segments);
        }
        let request = self.client.get(url);
        Ok(match &self.config.token_file {
            Some(path) => request.bearer_auth(self.token(path)?),
            None => request,
        })
    }

    /// Read each time: whoever exchanges it needs no restart.
    fn token(&self, path: &PathBuf) -> Result<String, UpstreamError> {
        let refuse = |reason: String| UpstreamError::Unreachable { url: self.name().to_owned(), reason };
        let text = std::fs::read_to_string(path)
            .map_err(|e| refuse(format!("can't read its token file `{}`: {e}", path.display())))?;
        match text.trim() {
            token if !token.is_empty() && token.len() <= MAX_TOKEN_BYTES => Ok(token.to_owned()),
            _ => Err(refuse(format!("its token file `{}` holds no token", path.display()))),
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, UpstreamError> {
        if let Some(error) = self.resting() {
            return Err(error);
        }
        let span = Span::client("GET", &self.config.url);
        let answer = match span.judged(span.around(span.carried_by(request).send()).await) {
            Ok(response) => {
                span.was_answered(response.status());
                self.judged(response)
            }
            Err(error) => Err(self.unreachable(told(&error))),
        };
        let failure = match &answer {
            Err(error @ UpstreamError::Unreachable { .. }) => Some((Instant::now(), error.clone())),
            _ => None,
        };
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        answer
    }

    fn judged(&self, response: Response) -> Result<Response, UpstreamError> {
        let status = response.status();
        match status.as_u16() {
            200 | 206 | 304 => Ok(response),
            401 => Err(self.unreachable("it does not take this registry's token (401)".to_owned())),
            408 | 425 | 429 | 500.. => Err(self.unreachable(format!("it answers {status}"))),
            status => Err(UpstreamError::Refused { url: self.name().to_owned(), status }),
        }
    }

    /// The last failure, while it is young.
    fn resting(&self) -> Option<UpstreamError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| at.elapsed() < REST).map(|(_, error)| error.clone())
    }

    fn unreachable(&self, reason: String) -> UpstreamError {
        UpstreamError::Unreachable { url: self.name().to_owned(), reason }
    }

    async fn bounded(&self, mut response: Response, max: usize) -> Result<Bytes, UpstreamError> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(told(&e)))? {
            if bytes.len() + piece.len() > max {
                return Err(self.wrong(format!("more than {max} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

/// What the innermost cause says: the outer ones repeat the address.
fn told(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
