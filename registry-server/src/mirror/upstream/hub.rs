//! Asking another one of these registries.

use bytes::Bytes;
use futures_util::Stream;
use hub_schemas::{
    api::{API_PREFIX, BaseVersions, ChangesPage, ChangesQuery, IndexDocument, MAX_CHANGES_LIMIT},
    digest::Digest,
    manifest::MAX_MANIFEST_BYTES,
    name::AdapterId,
};
use reqwest::{
    RequestBuilder, StatusCode,
    header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, RANGE},
};

use super::{DOCUMENT_TIMEOUT, MAX_DOCUMENT_BYTES, Upstream, UpstreamError};

/// A page of as many changes as a page may have, and any other list.
const MAX_CHANGES_BYTES: usize = 1 << 20;

/// A version list, perhaps under the name that the adapter has now, or that it has not changed.
pub(in crate::mirror) struct IndexAnswer {
    /// `None` when it has not changed.
    pub(in crate::mirror) changed: Option<(IndexDocument, String)>,
    /// Whether anybody may see it there.
    pub(in crate::mirror) public: bool,
}

impl Upstream {
    /// The versions of an adapter, unless they are those that `etag` names.
    pub(in crate::mirror) async fn index(
        &self,
        id: &AdapterId,
        etag: Option<&str>,
    ) -> Result<IndexAnswer, UpstreamError> {
        let mut request =
            self.ask(&["index", id.namespace.as_str(), id.name.as_str()])?.timeout(DOCUMENT_TIMEOUT);
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
        let bytes = self.bounded(response, MAX_DOCUMENT_BYTES).await?;
        let document: IndexDocument = serde_json::from_slice(&bytes).map_err(|e| self.wrong(e))?;
        Ok(IndexAnswer { changed: Some((document, etag)), public })
    }

    /// What changed after `since`.
    pub(in crate::mirror) async fn changes(&self, since: u64) -> Result<ChangesPage, UpstreamError> {
        let query = ChangesQuery { since, limit: Some(MAX_CHANGES_LIMIT), wait: None };
        let request = self.ask(&["changes"])?.query(&query).timeout(DOCUMENT_TIMEOUT);
        let bytes = self.bounded(self.send(request).await?, MAX_CHANGES_BYTES).await?;
        let page: ChangesPage = serde_json::from_slice(&bytes).map_err(|e| self.wrong(e))?;
        // Asking for the same page for ever would look like following.
        if page.more && page.next <= since {
            return Err(self.wrong(format!("changes after {since} that lead back to {}", page.next)));
        }
        Ok(page)
    }

    /// The base models with these weights.
    pub(in crate::mirror) async fn bases(&self, weights: &Digest) -> Result<BaseVersions, UpstreamError> {
        let request = self.ask(&["bases", &weights.to_string()])?.timeout(DOCUMENT_TIMEOUT);
        let bytes = self.bounded(self.send(request).await?, MAX_CHANGES_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|e| self.wrong(e))
    }

    /// The bytes of a manifest, which have this digest.
    pub(in crate::mirror) async fn manifest(&self, digest: &Digest) -> Result<Bytes, UpstreamError> {
        let request = self.ask(&["manifests", &digest.to_string()])?.timeout(DOCUMENT_TIMEOUT);
        let bytes = self.bounded(self.send(request).await?, MAX_MANIFEST_BYTES).await?;
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(self.wrong(format!("a manifest with the digest {found} instead of {digest}")))
        }
    }

    /// The bytes of a file from `start` on, not checked yet.
    pub(in crate::mirror) async fn blob(
        &self,
        id: &AdapterId,
        digest: &Digest,
        start: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, UpstreamError>> + Send + use<>, UpstreamError> {
        let path = ["adapters", id.namespace.as_str(), id.name.as_str(), "blobs", &digest.to_string()];
        let mut request = self.ask(&path)?;
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        let response = self.send(request).await?;
        if (start > 0) != (response.status() == StatusCode::PARTIAL_CONTENT) {
            return Err(self.wrong(format!("{} to a request for byte {start}", response.status())));
        }
        Ok(self.pieces(response))
    }

    /// Whether a search is answered.
    pub(super) async fn probe_hub(&self) -> Result<(), UpstreamError> {
        let request = self.ask(&["search"])?.timeout(DOCUMENT_TIMEOUT);
        self.send(request.query(&[("limit", "1")])).await.map(drop)
    }

    /// A request to a route of the API.
    fn ask(&self, segments: &[&str]) -> Result<RequestBuilder, UpstreamError> {
        let prefix = API_PREFIX.split('/').filter(|part| !part.is_empty());
        self.get(prefix.chain(segments.iter().copied()))
    }
}
