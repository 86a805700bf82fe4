//! One method per route of the HTTP API.

use std::{fmt, sync::Arc, time::Duration};

use hub_schemas::{
    AdapterId, Digest, Version,
    api::{
        AdapterInfo, BaseVersions, CONTENT_DIGEST_HEADER, ChangeVisibility, DeleteQuery, IndexDocument,
        MoveAdapter, PublishQuery, Published, Resolution, ResolveQuery, STALE_HEADER, SearchPage,
        SearchQuery, StartUpload, UploadStatus, VersionEntry, Visibility, WhoAmI, YankRequest,
        content_digest,
    },
    manifest::MAX_MANIFEST_BYTES,
    problem::ProblemCode,
};
use reqwest::{Method, StatusCode, header};
use url::Url;

use super::{
    Event, RegistryError, Reporter, Secret, http,
    send::{PUBLISH_DEADLINE, Sender},
};

/// Why a manifest is read: only a pull counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To look at it.
    Look,
    /// To use the adapter.
    Pull,
}

/// Answer to a request for an index document.
#[derive(Debug, Clone)]
pub enum IndexAnswer {
    /// The one that the client has is still right.
    NotModified,
    /// A new one.
    Changed {
        /// The document.
        document: IndexDocument,
        /// Names this state of it, for the next request.
        etag: Option<String>,
    },
}

/// Talks to one registry.
#[derive(Clone)]
pub struct RegistryClient {
    pub(super) sender: Sender,
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").field("url", &self.url().as_str()).finish_non_exhaustive()
    }
}

impl RegistryClient {
    /// A client for the registry at `url`; nothing is sent yet.
    pub fn new(url: Url, token: Option<Secret>, reporter: Arc<dyn Reporter>) -> Result<Self, RegistryError> {
        Ok(Self { sender: Sender::new(url, token, reporter)? })
    }

    /// The registry.
    pub fn url(&self) -> &Url {
        self.sender.base()
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.sender.has_token()
    }

    /// Who is told about transfers.
    pub fn reporter(&self) -> &Arc<dyn Reporter> {
        &self.sender.reporter
    }

    /// Whether the registry is there and ready.
    pub async fn ready(&self) -> Result<(), RegistryError> {
        self.sender.send_once(self.sender.document(Method::GET, &["readyz"])).await.map(drop)
    }

    /// Who the registry takes the caller for.
    pub async fn whoami(&self) -> Result<WhoAmI, RegistryError> {
        self.sender.fetch("account", || self.api(Method::GET, &["whoami"])).await
    }

    /// Finds adapters.
    pub async fn search(&self, query: &SearchQuery) -> Result<SearchPage, RegistryError> {
        self.sender.fetch("search result", || self.api(Method::GET, &["search"]).query(query)).await
    }

    /// The adapters that a bare word could mean, best first.
    pub async fn resolve(&self, query: &ResolveQuery) -> Result<Resolution, RegistryError> {
        self.sender.fetch("resolution", || self.api(Method::GET, &["resolve"]).query(query)).await
    }

    /// The base models at the registry that have these weights, newest first; none at a registry
    /// that knows no base models.
    pub async fn bases(&self, weights: &Digest) -> Result<BaseVersions, RegistryError> {
        let weights = weights.to_string();
        let answer = self.sender.fetch("base models", || self.api(Method::GET, &["bases", &weights])).await;
        match answer {
            Err(error) if error.code() == Some(ProblemCode::NotFound) => {
                Ok(BaseVersions { versions: Vec::new() })
            }
            answer => answer,
        }
    }

    /// An adapter with all its versions.
    pub async fn adapter(&self, id: &AdapterId) -> Result<AdapterInfo, RegistryError> {
        self.sender.fetch("adapter", || self.of(Method::GET, id, &[])).await
    }

    /// Shows or hides an adapter.
    pub async fn change_visibility(
        &self,
        id: &AdapterId,
        visibility: Visibility,
    ) -> Result<AdapterInfo, RegistryError> {
        let change = ChangeVisibility { visibility };
        self.sender.fetch("adapter", || self.of(Method::PATCH, id, &[]).json(&change)).await
    }

    /// Gives an adapter another name. Sent once: the answer to a second request would be that the
    /// old name is gone.
    pub async fn move_adapter(&self, id: &AdapterId, to: &AdapterId) -> Result<AdapterInfo, RegistryError> {
        let request = self.of(Method::POST, id, &["move"]).json(&MoveAdapter { to: to.clone() });
        self.sender.json(self.sender.send_once(request).await?, "adapter").await
    }

    /// Lets a name be used again that a moved or deleted adapter had.
    pub async fn free_name(&self, id: &AdapterId) -> Result<(), RegistryError> {
        self.sender.send(|| self.of(Method::DELETE, id, &["kept-name"])).await.map(drop)
    }

    /// Deletes an adapter with all its versions, for good.
    pub async fn delete_adapter(&self, id: &AdapterId, reason: &str) -> Result<(), RegistryError> {
        let query = DeleteQuery { reason: reason.to_owned() };
        self.sender.send(|| self.of(Method::DELETE, id, &[]).query(&query)).await.map(drop)
    }

    /// The versions of an adapter, unless they are those that `etag` names. The document has the
    /// adapter's present name, which may be another one.
    pub async fn index(&self, id: &AdapterId, etag: Option<&str>) -> Result<IndexAnswer, RegistryError> {
        self.sender
            .repeating(async || {
                let (namespace, name) = (id.namespace.as_str(), id.name.as_str());
                let mut request = self.api(Method::GET, &["index", namespace, name]);
                if let Some(etag) = etag {
                    request = request.header(header::IF_NONE_MATCH, etag);
                }
                let response = self.sender.send_once(request).await?;
                let stale = response.headers().get(STALE_HEADER).and_then(|v| v.to_str().ok()?.parse().ok());
                if let Some(age) = stale.map(Duration::from_secs) {
                    self.sender.reporter.event(&Event::Stale { what: &id.to_string(), age });
                }
                if response.status() == StatusCode::NOT_MODIFIED {
                    return Ok(IndexAnswer::NotModified);
                }
                let etag = response.headers().get(header::ETAG).and_then(|v| v.to_str().ok());
                let etag = etag.map(ToOwned::to_owned);
                let document: IndexDocument = self.sender.json(response, "version list").await?;
                if document.name != *id {
                    let (from, to) = (id.to_string(), document.name.to_string());
                    self.sender.reporter.event(&Event::Moved { from: &from, to: &to });
                }
                Ok(IndexAnswer::Changed { document, etag })
            })
            .await
    }

    /// The bytes of the manifest with this digest, checked against it.
    pub async fn manifest(&self, digest: &Digest, purpose: Purpose) -> Result<Vec<u8>, RegistryError> {
        self.sender
            .repeating(async || {
                let mut request = self.api(Method::GET, &["manifests", &digest.to_string()]);
                if purpose == Purpose::Pull {
                    request = request.query(&[("purpose", "pull")]);
                }
                let response = self.sender.send_once(request).await?;
                let bytes = http::read_bounded(response, MAX_MANIFEST_BYTES, "manifest").await?;
                let found = Digest::of(&bytes);
                if found == *digest {
                    Ok(bytes)
                } else {
                    Err(RegistryError::Corrupt { what: "manifest.json".into(), expected: *digest, found })
                }
            })
            .await
    }

    /// Makes a version visible; its files must be uploaded. The same bytes again change nothing.
    pub async fn publish(
        &self,
        id: &AdapterId,
        version: &Version,
        visibility: Option<Visibility>,
        manifest: &[u8],
    ) -> Result<Published, RegistryError> {
        self.sender
            .fetch("answer", || {
                self.of(Method::PUT, id, &["versions", &version.to_string()])
                    .query(&PublishQuery { visibility })
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(CONTENT_DIGEST_HEADER, content_digest(&Digest::of(manifest)))
                    .body(manifest.to_vec())
                    .timeout(PUBLISH_DEADLINE)
            })
            .await
    }

    /// Takes a version out of use, or brings it back.
    pub async fn yank(
        &self,
        id: &AdapterId,
        version: &Version,
        request: &YankRequest,
    ) -> Result<VersionEntry, RegistryError> {
        let segments = ["versions", &version.to_string()];
        self.sender.fetch("version", || self.of(Method::PATCH, id, &segments).json(request)).await
    }

    /// Deletes a version for good.
    pub async fn delete_version(
        &self,
        id: &AdapterId,
        version: &Version,
        reason: &str,
    ) -> Result<(), RegistryError> {
        let segments = ["versions", &version.to_string()];
        let query = DeleteQuery { reason: reason.to_owned() };
        self.sender.send(|| self.of(Method::DELETE, id, &segments).query(&query)).await.map(drop)
    }

    /// Announces a blob; an upload that was cut off is continued.
    pub async fn start_upload(
        &self,
        id: &AdapterId,
        upload: &StartUpload,
    ) -> Result<UploadStatus, RegistryError> {
        self.sender.fetch("upload", || self.of(Method::POST, id, &["uploads"]).json(upload)).await
    }

    /// How far an upload is.
    pub async fn upload_status(&self, upload: &str) -> Result<UploadStatus, RegistryError> {
        self.sender.fetch("upload", || self.api(Method::GET, &["uploads", upload])).await
    }

    /// Gives an upload up.
    pub async fn cancel_upload(&self, upload: &str) -> Result<(), RegistryError> {
        self.sender.send(|| self.api(Method::DELETE, &["uploads", upload])).await.map(drop)
    }

    pub(super) fn api(&self, method: Method, segments: &[&str]) -> reqwest::RequestBuilder {
        self.sender.document(method, &[&["api", "v1"], segments].concat())
    }

    pub(super) fn of(&self, method: Method, id: &AdapterId, segments: &[&str]) -> reqwest::RequestBuilder {
        let adapter = ["adapters", id.namespace.as_str(), id.name.as_str()];
        self.api(method, &[&adapter, segments].concat())
    }

    /// The URL of a blob.
    pub(super) fn blob_url(&self, id: &AdapterId, digest: &Digest) -> Url {
        let (namespace, name) = (id.namespace.as_str(), id.name.as_str());
        self.sender.url(&["api", "v1", "adapters", namespace, name, "blobs", &digest.to_string()])
    }

    /// The URL of an upload.
    pub(super) fn upload_url(&self, upload: &str) -> Url {
        self.sender.url(&["api", "v1", "uploads", upload])
    }
}
