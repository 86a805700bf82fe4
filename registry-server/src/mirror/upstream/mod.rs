//! Asking another registry: what all kinds of them have in common. What each is asked is in a file of its own.

mod hub;
mod huggingface;

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt as _};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};

use crate::{
    cause::innermost,
    config::{MirrorConfig, MirrorKind},
    outgoing::choose_tls,
    trace::Span,
};

pub(super) use hub::IndexAnswer;
pub(super) use huggingface::{Model, Source};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No byte for so long means that none will come.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// A document comes within this time or not at all.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Who did not answer is not asked again for so long: everybody who waits would wait as long.
const REST: Duration = Duration::from_secs(5);
/// An index of some ten thousand versions, or a repository with as many files.
const MAX_DOCUMENT_BYTES: usize = 8 << 20;
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
    #[error("`{url}` answers {status}{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused {
        /// Which one.
        url: String,
        /// Its answer.
        status: u16,
        /// The word that a Hugging Face hub gives besides.
        code: Option<String>,
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
        choose_tls();
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

    /// Whether it lives and takes the token.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        let asked = match self.config.kind {
            MirrorKind::Hub => self.probe_hub().await,
            MirrorKind::HuggingFace => self.probe_hugging_face().await,
        };
        asked.map_err(|e| e.to_string())
    }

    pub(super) fn wrong(&self, reason: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Wrong { url: self.name().to_owned(), reason: reason.to_string() }
    }

    fn get<'a>(&self, segments: impl Iterator<Item = &'a str>) -> Result<RequestBuilder, UpstreamError> {
        let mut url: Url = self.config.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
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

    async fn send(&self, request: RequestBuilder) -> Result<Response, UpstreamError> {
        if let Some(error) = self.resting() {
            return Err(error);
        }
        let span = Span::client("GET", &self.config.url);
        let answer = match span.judged(span.around(span.carried_by(request).send()).await) {
            Ok(response) => {
                span.was_answered(response.status());
                self.judged(response)
            }
            Err(error) => Err(self.unreachable(innermost(&error))),
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
        let (code, refuses_token) = match self.config.kind {
            MirrorKind::Hub => (None, true),
            MirrorKind::HuggingFace => huggingface::said(response.headers()),
        };
        match status.as_u16() {
            200 | 206 | 304 => Ok(response),
            401 if refuses_token => {
                Err(self.unreachable("it does not take this registry's token (401)".to_owned()))
            }
            408 | 425 | 429 | 500.. => Err(self.unreachable(format!("it answers {status}"))),
            status => Err(UpstreamError::Refused { url: self.name().to_owned(), status, code }),
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

    /// The body of an answer, not checked.
    fn pieces(&self, response: Response) -> impl Stream<Item = Result<Bytes, UpstreamError>> + Send + use<> {
        let url = self.name().to_owned();
        let failed = move |e| UpstreamError::Unreachable { url: url.clone(), reason: innermost(&e) };
        response.bytes_stream().map_err(failed)
    }

    async fn bounded(&self, mut response: Response, max: usize) -> Result<Bytes, UpstreamError> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(innermost(&e)))? {
            if bytes.len() + piece.len() > max {
                return Err(self.wrong(format!("more than {max} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}
