//! Asking a Hugging Face hub: repositories, their files and commits. After the first question everything is asked
//! of a commit, so that a push in between tears nothing.

use bytes::Bytes;
use futures_util::Stream;
use hub_schemas::{digest::Digest, name::AdapterId};
use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{HeaderMap, LINK, RANGE},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use time::OffsetDateTime;

use super::{DOCUMENT_TIMEOUT, MAX_DOCUMENT_BYTES, Upstream, UpstreamError};
use crate::domain::huggingface::{Commit, Content, RepositoryFile, RepositoryId, card::Card};

/// The branch that is looked at.
const MAIN: &str = "main";
/// Longest word for an error, as `X-Error-Code` has it.
const MAX_CODE: usize = 40;
/// Repositories that a search is read for.
const MAX_FOUND: &str = "100";

/// One state of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::mirror) struct Source {
    /// The repository, as the hub spells it.
    pub(in crate::mirror) repository: RepositoryId,
    /// The state.
    pub(in crate::mirror) commit: Commit,
}

/// What a hub says of a repository at one commit.
#[derive(Debug, Clone)]
pub(in crate::mirror) struct Model {
    /// Which repository and commit.
    pub(in crate::mirror) source: Source,
    /// Whether anybody gets its files there: it is neither private nor gated.
    pub(in crate::mirror) public: bool,
    /// Whether others do not even see that it is there.
    pub(in crate::mirror) private: bool,
    /// The metadata of its card.
    pub(in crate::mirror) card: Card,
    /// The hub's word for what it does.
    pub(in crate::mirror) pipeline: Option<String>,
    /// Its tags.
    pub(in crate::mirror) tags: Vec<String>,
}

#[derive(Deserialize)]
struct ModelDocument {
    id: String,
    sha: String,
    #[serde(default)]
    private: bool,
    /// `false`, or how access is given: `auto`, `manual`.
    #[serde(default)]
    gated: Value,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
    #[serde(default)]
    pipeline_tag: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct FoundDocument {
    id: String,
}

#[derive(Deserialize)]
struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    oid: String,
    size: u64,
    path: String,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    oid: String,
    size: u64,
}

#[derive(Deserialize)]
struct CommitDocument {
    id: String,
    #[serde(with = "time::serde::rfc3339")]
    date: OffsetDateTime,
}

impl Upstream {
    /// What `main` of the repository is that is called `id` here.
    pub(in crate::mirror) async fn model_called(&self, id: &AdapterId) -> Result<Model, UpstreamError> {
        let missing = match self.model(&RepositoryId::from(id), None).await {
            Ok(model) if model.source.repository.adapter_name().as_ref() == Some(id) => return Ok(model),
            Ok(model) => {
                return Err(self.wrong(format!("`{}`, as `{id}` may be called now", model.source.repository)));
            }
            Err(error @ UpstreamError::Refused { status: 401 | 404, .. }) => error,
            Err(error) => return Err(error),
        };
        // It may have capitals and dots there.
        let word = id.name.as_str().split(['-', '_']).max_by_key(|part| part.len()).unwrap_or_default();
        let query = [("author", id.namespace.as_str()), ("search", word), ("limit", MAX_FOUND)];
        let request = self.get(["api", "models"].into_iter())?.query(&query);
        let found: Vec<FoundDocument> = self.document(request).await?.0;
        let repositories = found.into_iter().filter_map(|found| found.id.parse::<RepositoryId>().ok());
        let mut meant = repositories.filter(|repository| repository.adapter_name().as_ref() == Some(id));
        match (meant.next(), meant.next()) {
            (None, _) => Err(missing),
            (Some(repository), None) => self.model(&repository, None).await,
            (Some(one), Some(other)) => {
                Err(self
                    .wrong(format!("two repositories that are called `{id}` here: `{one}` and `{other}`")))
            }
        }
    }

    /// What a repository is at `revision`, or on `main`; perhaps under the name that it has now.
    pub(in crate::mirror) async fn model(
        &self,
        repository: &RepositoryId,
        revision: Option<&str>,
    ) -> Result<Model, UpstreamError> {
        let path = ["revision", revision.unwrap_or(MAIN)];
        let (found, _) = self.document::<ModelDocument>(self.of(repository, path)?).await?;
        let source = Source {
            repository: found.id.parse().map_err(|e| self.wrong(e))?,
            commit: found.sha.parse().map_err(|e| self.wrong(e))?,
        };
        let is_open = matches!(found.gated, Value::Null | Value::Bool(false));
        Ok(Model {
            source,
            public: is_open && !found.private,
            private: found.private,
            card: found.card.unwrap_or_default(),
            pipeline: found.pipeline_tag,
            tags: found.tags,
        })
    }

    /// The files at the top of a repository. Names that no adapter's file may have are left out.
    pub(in crate::mirror) async fn tree(
        &self,
        source: &Source,
    ) -> Result<Vec<RepositoryFile>, UpstreamError> {
        let request = self.of(&source.repository, ["tree", source.commit.as_str()])?;
        let (entries, headers) = self.document::<Vec<TreeEntry>>(request).await?;
        let is_cut =
            |link: &reqwest::header::HeaderValue| link.as_bytes().windows(6).any(|part| part == b"\"next\"");
        if headers.get(LINK).is_some_and(is_cut) {
            return Err(self.wrong(format!("more than the {} files of one page", entries.len())));
        }
        let mut files = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
            let Ok(path) = entry.path.parse() else { continue };
            let (size, content) = match entry.lfs {
                Some(large) => (large.size, Content::Large(self.digest(&large.oid)?)),
                None => (entry.size, Content::Blob(entry.oid)),
            };
            files.push(RepositoryFile { path, size, content });
        }
        Ok(files)
    }

    fn digest(&self, oid: &str) -> Result<Digest, UpstreamError> {
        format!("sha256:{oid}").parse().map_err(|e| self.wrong(e))
    }

    /// When a commit was made.
    pub(in crate::mirror) async fn date(&self, source: &Source) -> Result<OffsetDateTime, UpstreamError> {
        let request =
            self.of(&source.repository, ["commits", source.commit.as_str()])?.query(&[("limit", "1")]);
        let (commits, _) = self.document::<Vec<CommitDocument>>(request).await?;
        let found = commits.into_iter().find(|commit| commit.id == source.commit.as_str());
        found.map(|commit| commit.date).ok_or_else(|| {
            self.wrong(format!("commits of `{}` without `{}`", source.repository, source.commit))
        })
    }

    /// The bytes of a file from `start` on, not checked yet.
    pub(in crate::mirror) async fn file(
        &self,
        source: &Source,
        file: &RepositoryFile,
        start: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, UpstreamError>> + Send + use<>, UpstreamError> {
        Ok(self.pieces(self.resolve(source, file, start).await?))
    }

    /// A file of at most `max` bytes, which are those that the tree names.
    pub(in crate::mirror) async fn small_file(
        &self,
        source: &Source,
        file: &RepositoryFile,
        max: u64,
    ) -> Result<Bytes, UpstreamError> {
        if file.size > max {
            return Err(self.wrong(format!("`{}` of {} bytes; at most {max} are read", file.path, file.size)));
        }
        let bytes = self.bounded(self.resolve(source, file, 0).await?, file.size as usize).await?;
        if file.is(&bytes) {
            return Ok(bytes);
        }
        let found = format!("`{}` of {} bytes that are not those of its commit", file.path, bytes.len());
        Err(self.wrong(found))
    }

    async fn resolve(
        &self,
        source: &Source,
        file: &RepositoryFile,
        start: u64,
    ) -> Result<Response, UpstreamError> {
        let path = ["resolve", source.commit.as_str(), file.path.as_str()];
        let mut request = self.get(source.repository.parts().chain(path))?;
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        let response = self.send(request).await?;
        if (start > 0) != (response.status() == StatusCode::PARTIAL_CONTENT) {
            return Err(self.wrong(format!("{} to a request for byte {start}", response.status())));
        }
        Ok(response)
    }

    /// What it answers who has a token to the question for a repository that is not there.
    pub(in crate::mirror) fn lacks(&self) -> UpstreamError {
        let (url, code) = (self.name().to_owned(), Some("RepoNotFound".to_owned()));
        UpstreamError::Refused { url, status: 404, code }
    }

    /// Whether repositories are listed.
    pub(super) async fn probe_hugging_face(&self) -> Result<(), UpstreamError> {
        let request = self.get(["api", "models"].into_iter())?.query(&[("limit", "1")]);
        self.send(request.timeout(DOCUMENT_TIMEOUT)).await.map(drop)
    }

    /// A request about a repository.
    fn of(&self, repository: &RepositoryId, path: [&str; 2]) -> Result<RequestBuilder, UpstreamError> {
        self.get(["api", "models"].into_iter().chain(repository.parts()).chain(path))
    }

    async fn document<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<(T, HeaderMap), UpstreamError> {
        let response = self.send(request.timeout(DOCUMENT_TIMEOUT)).await?;
        let headers = response.headers().clone();
        let bytes = self.bounded(response, MAX_DOCUMENT_BYTES).await?;
        Ok((serde_json::from_slice(&bytes).map_err(|e| self.wrong(e))?, headers))
    }
}

/// The word for an error, and whether it is the token that is refused: who has none is answered 401 for what is
/// not there too.
pub(super) fn said(headers: &HeaderMap) -> (Option<String>, bool) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_word = |code: &&str| code.len() <= MAX_CODE && code.bytes().all(|b| b.is_ascii_alphanumeric());
    let refuses_token = text("x-error-message").is_some_and(|message| message.starts_with("Invalid"));
    (text("x-error-code").filter(is_word).map(ToOwned::to_owned), refuses_token)
}
