//! A proxy that breaks transfers on purpose and remembers what was asked.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::Response,
};
use futures_util::{StreamExt as _, stream};

use crate::{
    eventually,
    serving::{listen, serve},
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The last byte of every file is another one.
    Corrupt,
    /// Every file stops after so many bytes, and nothing follows.
    Hang(usize),
    /// The first download of each file breaks off after so many bytes.
    Cut(usize),
    /// Chunks of uploads from this byte on are swallowed, and no answer follows.
    HangUploadAt(u64),
    /// Every request is answered so.
    Refuse(u16),
}

/// Stands between `hub` and a registry.
#[derive(Debug, Clone)]
pub struct Proxy {
    url: String,
    state: Shared,
}

#[derive(Debug, Clone)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    fault: Arc<Mutex<Fault>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy in front of the registry at `upstream`.
    pub async fn start(upstream: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let state = Shared {
            upstream: upstream.to_owned(),
            client,
            fault: Arc::new(Mutex::new(Fault::None)),
            seen: Arc::default(),
        };
        let (listener, url) = listen().await;
        let router = Router::new().fallback(forward).with_state(state.clone());
        serve(listener, router);
        Self { url, state }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on this goes wrong.
    pub fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// The requests since the last call: method, path, and the range where there is one.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until a request contains `text`.
    pub async fn wait_for(&self, text: &str) {
        eventually(&format!("a request with {text:?} comes"), async || {
            let seen = self.state.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.iter().any(|request| request.contains(text)).then_some(())
        })
        .await;
    }
}

async fn forward(State(state): State<Shared>, request: Request) -> Response {
    let fault = *state.fault.lock().unwrap_or_else(PoisonError::into_inner);
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let range = if parts.method == Method::PATCH { text("content-range") } else { text("range") };
    let is_file = parts.method == Method::GET && parts.uri.path().contains("/blobs/");
    let first_time = range.is_empty();
    let line = format!("{} {} {range}", parts.method, parts.uri);
    let start = range.strip_prefix("bytes ").and_then(|r| r.split('-').next()?.parse::<u64>().ok());
    state.seen.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim().to_owned());
    match fault {
        Fault::Refuse(status) => return refusal(status),
        Fault::HangUploadAt(at) if start.is_some_and(|start| start >= at) => std::future::pending().await,
        _ => {}
    }
    let mut headers = parts.headers.clone();
    headers.remove(header::HOST);
    let answer = state
        .client
        .request(parts.method, format!("{}{}", state.upstream, parts.uri))
        .headers(headers)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await;
    let Ok(answer) = answer else { return refusal(502) };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| *name != header::TRANSFER_ENCODING) {
        response = response.header(name, value);
    }
    let body = match fault {
        _ if !is_file => Body::from_stream(answer.bytes_stream()),
        Fault::Corrupt => {
            let mut bytes = answer.bytes().await.unwrap_or_default().to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            Body::from(bytes)
        }
        Fault::Hang(after) => {
            let bytes = answer.bytes().await.unwrap_or_default();
            let head = bytes.slice(..after.min(bytes.len()));
            Body::from_stream(stream::iter([Ok::<_, std::io::Error>(head)]).chain(stream::pending()))
        }
        Fault::Cut(after) if first_time => {
            let bytes = answer.bytes().await.unwrap_or_default();
            let head: Bytes = bytes.slice(..after.min(bytes.len()));
            let broken = Err(std::io::Error::other("cut"));
            // The pause lets the bytes leave before the connection breaks.
            let pause = stream::once(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                broken
            });
            Body::from_stream(stream::iter([Ok(head)]).chain(pause))
        }
        _ => Body::from_stream(answer.bytes_stream()),
    };
    response.body(body).unwrap_or_else(|_| refusal(502))
}

fn refusal(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}
