//! Plain HTTP requests, as any program could send them.

use std::sync::Once;

use hub_schemas::{
    api::{API_PREFIX, Published, UploadStatus},
    digest::Digest,
    problem::{Problem, ProblemCode},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::SampleAdapter;

/// Chunks of the samples' uploads; small, so that a sample has several.
const CHUNK: usize = 4096;

/// Somebody who visits a registry, with or without a token.
#[derive(Debug, Clone)]
pub struct Visitor {
    url: String,
    token: Option<String>,
    client: reqwest::Client,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Visitor {
    /// Somebody at `url`.
    pub fn new(url: String, token: Option<&str>) -> Self {
        Self { url, token: token.map(ToOwned::to_owned), client: client().build().expect("a client") }
    }

    /// Somebody who believes this certificate and no other.
    pub fn trusting(url: String, token: Option<&str>, certificate: &str) -> Self {
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        let client = client().tls_certs_only([certificate]).build().expect("a client");
        Self { url, token: token.map(ToOwned::to_owned), client }
    }

    /// Whether there is an answer at all.
    pub async fn reaches(&self, path: &str) -> bool {
        self.request(Method::GET, path).send().await.is_ok()
    }

    /// The token, for other clients.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// The same visitor at another address, after a restart.
    #[must_use]
    pub fn at(&self, url: String) -> Self {
        Self { url, ..self.clone() }
    }

    /// A request to a path below the API's prefix, or to an absolute one like `/metrics`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let prefix = if path.starts_with('/') { String::new() } else { format!("{API_PREFIX}/") };
        let request = self.client.request(method, format!("{}{prefix}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// `GET` with one more header.
    pub async fn get_with(&self, path: &str, header: &str, value: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).header(header, value)).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// `PATCH` with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PATCH, path).json(body)).await
    }

    /// `PUT` with a JSON body.
    pub async fn put_json(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(body)).await
    }

    /// `PUT` of raw bytes.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Answer {
        Answer::of(self.request(Method::PUT, path).body(body)).await
    }

    /// `DELETE`
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Announces a file of `adapter`.
    pub async fn start_upload(&self, adapter: &str, digest: Digest, size: u64) -> Answer {
        self.post(&format!("adapters/{adapter}/uploads"), &json!({"digest": digest, "size": size})).await
    }

    /// Sends bytes `start..` of a file of `total` bytes.
    pub async fn append(&self, upload: &str, start: u64, bytes: &[u8], total: u64) -> Answer {
        let range = format!("bytes {start}-{}/{total}", start + bytes.len() as u64 - 1);
        let request = self.request(Method::PATCH, &format!("uploads/{upload}"));
        Answer::of(request.header("content-range", range).body(bytes.to_vec())).await
    }

    /// Uploads a file to `adapter`, continuing where an earlier upload stopped.
    pub async fn upload(&self, adapter: &str, bytes: &[u8]) -> UploadStatus {
        let total = bytes.len() as u64;
        let answer = self.start_upload(adapter, Digest::of(bytes), total).await;
        let mut status: UploadStatus = answer.expect_ok();
        while !status.complete {
            let start = status.received as usize;
            let end = bytes.len().min(start + CHUNK);
            status = self.append(&status.id, start as u64, &bytes[start..end], total).await.expect_ok();
        }
        status
    }

    /// The same in one request: [`upload`](Self::upload) would send a large file in thousands.
    pub async fn upload_at_once(&self, adapter: &str, bytes: &[u8]) -> UploadStatus {
        let total = bytes.len() as u64;
        let started: UploadStatus = self.start_upload(adapter, Digest::of(bytes), total).await.expect_ok();
        self.append(&started.id, 0, bytes, total).await.expect_ok()
    }

    /// Uploads the files of `sample`.
    pub async fn upload_files(&self, sample: &SampleAdapter) {
        for (_, bytes) in &sample.files {
            self.upload(&sample.manifest.name.to_string(), bytes).await;
        }
    }

    /// Sends the manifest alone.
    pub async fn put_manifest(&self, sample: &SampleAdapter) -> Answer {
        let (name, version) = (&sample.manifest.name, &sample.manifest.version);
        self.put(&format!("adapters/{name}/versions/{version}"), sample.manifest_bytes()).await
    }

    /// Uploads the files of `sample` and sends its manifest.
    pub async fn try_publish(&self, sample: &SampleAdapter) -> Answer {
        self.upload_files(sample).await;
        self.put_manifest(sample).await
    }

    /// Publishes `sample`, which must work.
    pub async fn publish(&self, sample: &SampleAdapter) -> Published {
        self.try_publish(sample).await.expect_ok()
    }

    /// Publishes `sample` as a private adapter, which must work.
    pub async fn publish_private(&self, sample: &SampleAdapter) -> Published {
        self.upload_files(sample).await;
        let (name, version) = (&sample.manifest.name, &sample.manifest.version);
        let path = format!("adapters/{name}/versions/{version}?visibility=private");
        self.put(&path, sample.manifest_bytes()).await.expect_ok()
    }
}

fn client() -> reqwest::ClientBuilder {
    static TLS: Once = Once::new();
    TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().no_proxy()
}

impl Answer {
    /// Sends a request and reads the whole answer.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.expect("a whole body").to_vec() }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The body as a type of the API; fails unless the status is a success.
    pub fn expect_ok<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The body as a problem; fails unless it is one and agrees with the status.
    pub fn problem(&self) -> Problem {
        let problem: Problem = serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!((problem.status, problem.code.status()), (self.status.as_u16(), self.status.as_u16()));
        assert_eq!(problem.request_id.as_deref(), Some(self.header("x-request-id")));
        problem
    }

    /// The problem's code.
    pub fn code(&self) -> ProblemCode {
        self.problem().code
    }

    /// A header, or the empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}
