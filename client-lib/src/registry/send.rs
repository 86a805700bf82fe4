//! One request: token, deadline, repetition, and errors as the registry tells them.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hub_schemas::problem::{PROBLEM_MEDIA_TYPE, Problem, ProblemCode};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use url::Url;

use super::{Event, RegistryError, Reporter, Secret, http, retry};

/// A document comes within this time or not at all. Files have no deadline, only a stall timer.
const DOCUMENT_DEADLINE: Duration = Duration::from_mins(1);
/// The registry reads the headers of every file before it answers a publish request, and files that
/// went to its store itself as a whole.
pub(super) const PUBLISH_DEADLINE: Duration = Duration::from_mins(5);
/// Largest JSON document other than a manifest: an index of some ten thousand versions.
const MAX_DOCUMENT_BYTES: usize = 8 << 20;
/// Largest problem document.
const MAX_PROBLEM_BYTES: usize = 64 << 10;

/// Sends requests to one registry.
#[derive(Clone)]
pub(super) struct Sender {
    http: Client,
    base: Url,
    token: Option<Secret>,
    /// Whether the registry ever answered: only then is a refused connection worth waiting for.
    answered: Arc<AtomicBool>,
    pub(super) reporter: Arc<dyn Reporter>,
}

impl Sender {
    pub(super) fn new(
        base: Url,
        token: Option<Secret>,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, RegistryError> {
        Ok(Self { http: http::client(&base)?, base, token, answered: Arc::default(), reporter })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The URL of a route; each segment is escaped.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Fails for URLs that can't be a base, which the settings refuse.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// A request with the token, but without a deadline.
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// A request to somebody who is not the registry, without its token.
    pub(super) fn elsewhere(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).timeout(DOCUMENT_DEADLINE)
    }

    /// A request to the registry's store: without the registry's token, and without a deadline.
    pub(super) fn stored(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// A request for a document, with the token and a deadline.
    pub(super) fn document(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        self.request(method, self.url(segments)).timeout(DOCUMENT_DEADLINE)
    }

    /// Sends a request that may be sent twice, and repeats it as [`retry`] says.
    pub(super) async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, RegistryError> {
        let mut attempts = Attempts::new(self);
        loop {
            match self.send_once(request()).await {
                Ok(response) => return Ok(response),
                Err(error) => attempts.next(error).await?,
            }
        }
    }

    /// Sends a request, and says how messages call it.
    async fn execute(&self, request: RequestBuilder) -> Result<(Response, Method, String), RegistryError> {
        let request = request.build().map_err(|cause| RegistryError::Setup { cause })?;
        let (method, url) = (request.method().clone(), http::display_url(request.url()));
        let response = self.http.execute(request).await.map_err(|e| RegistryError::transport(&url, e))?;
        Ok((response, method, url))
    }

    /// Sends a request once. Anything but success and 304 is an error.
    pub(super) async fn send_once(&self, request: RequestBuilder) -> Result<Response, RegistryError> {
        let started = Instant::now();
        let (response, method, url) = self.execute(request).await?;
        self.answered.store(true, Ordering::Relaxed);
        let status = response.status();
        tracing::debug!(
            http.status = status.as_u16(),
            duration_ms = started.elapsed().as_millis() as u64,
            "{method} {url}"
        );
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        Err(refusal(response, url).await)
    }

    /// Sends a request to somebody who is not the registry, and takes any answer.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Response, RegistryError> {
        Ok(self.execute(request).await?.0)
    }

    /// Reads the JSON body of an answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        response: Response,
        what: &'static str,
    ) -> Result<T, RegistryError> {
        let (url, status) = (http::display_url(response.url()), response.status().as_u16());
        if !is_json(&response) {
            return Err(RegistryError::NotARegistry { url, status });
        }
        let body = http::read_bounded(response, MAX_DOCUMENT_BYTES, what).await?;
        serde_json::from_slice(&body).map_err(|e| RegistryError::Malformed {
            what,
            url,
            reason: e.to_string(),
        })
    }

    /// Sends and reads JSON, repeating both: a connection may break inside a body too.
    pub(super) async fn fetch<T: DeserializeOwned>(
        &self,
        what: &'static str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, RegistryError> {
        self.repeating(async || self.json(self.send_once(request()).await?, what).await).await
    }

    /// Repeats `action` while it fails in a way that may pass.
    pub(super) async fn repeating<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        action: impl Fn() -> F,
    ) -> Result<T, RegistryError> {
        let mut attempts = Attempts::new(self);
        loop {
            match action().await {
                Ok(value) => return Ok(value),
                Err(error) => attempts.next(error).await?,
            }
        }
    }
}

/// Counts the failures of one request and waits between them.
pub(super) struct Attempts<'a> {
    sender: &'a Sender,
    failed: u32,
    started: Instant,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(sender: &'a Sender) -> Self {
        Self { sender, failed: 0, started: Instant::now() }
    }

    /// Something moved: the count starts again.
    pub(super) fn made_headway(&mut self) {
        self.failed = 0;
    }

    /// Waits when `error` may pass and there is an attempt left; gives it back otherwise.
    pub(super) async fn next(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let hopeless = error.is_refused() && !self.sender.answered.load(Ordering::Relaxed);
        if !error.is_transient() || hopeless {
            return Err(error);
        }
        if self.failed >= retry::MAX_RETRIES {
            let (retries, elapsed) = (self.failed, self.started.elapsed());
            return Err(RegistryError::GaveUp { source: Box::new(error), retries, elapsed });
        }
        self.failed += 1;
        let wait = retry::wait(self.failed, error.retry_after());
        self.sender.reporter.event(&Event::Retrying {
            reason: &error.to_string(),
            wait,
            attempt: self.failed,
        });
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

fn media_type(response: &Response) -> &str {
    let header = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    header.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn is_json(response: &Response) -> bool {
    media_type(response).eq_ignore_ascii_case("application/json")
}

/// Reads what the registry says about its refusal.
async fn refusal(response: Response, url: String) -> RegistryError {
    let status = response.status().as_u16();
    let retry_after = retry::retry_after(response.headers());
    if response.content_length() == Some(0) || !media_type(&response).eq_ignore_ascii_case(PROBLEM_MEDIA_TYPE)
    {
        return without_problem(status, url, retry_after);
    }
    let body = http::read_bounded(response, MAX_PROBLEM_BYTES, "error message").await;
    match body.map(|bytes| serde_json::from_slice::<Problem>(&bytes)) {
        Ok(Ok(mut problem)) => {
            problem.status = status;
            RegistryError::Problem { problem: Box::new(problem), url, retry_after }
        }
        Ok(Err(_)) => RegistryError::NotARegistry { url, status },
        Err(error) => error,
    }
}

/// A proxy in front of a registry that is down answers in its own words.
fn without_problem(status: u16, url: String, retry_after: Option<Duration>) -> RegistryError {
    let code = match status {
        429 | 502..=504 => ProblemCode::Unavailable,
        // HEAD has no body: the status has to do.
        404 => ProblemCode::NotFound,
        401 => ProblemCode::Unauthorized,
        403 => ProblemCode::Forbidden,
        _ => return RegistryError::NotARegistry { url, status },
    };
    let mut problem = Problem::new(code, format!("{} at {url}", code.title().to_lowercase()));
    problem.status = status;
    RegistryError::Problem { problem: Box::new(problem), url, retry_after }
}
