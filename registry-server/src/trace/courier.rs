//! Carries finished spans to the collector. One that is away is said once, until it is back.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::{Client, redirect::Policy};
use tokio::runtime::Handle;
use url::Url;

use crate::{cause::innermost, outgoing::choose_tls};

/// The OTLP exporter's own.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is some bytes that nobody reads; a connection whose answer has more is not used again.
const MAX_ANSWER: usize = 64 << 10;

/// The exporter's HTTP client.
#[derive(Debug)]
pub(super) struct Courier {
    client: Client,
    /// Where spans go, with the password if there is one.
    collector: Url,
    /// The exporter has a thread of its own, and requests need a runtime.
    runtime: Handle,
    away: AtomicBool,
}

impl Courier {
    /// To `collector`, with requests on this runtime.
    pub(super) fn new(collector: Url) -> Result<Self, reqwest::Error> {
        choose_tls();
        // Keys may be in the headers: they are sent nowhere else.
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { client, collector, runtime: Handle::current(), away: AtomicBool::new(false) })
    }

    /// The collector's address as the log shows it.
    fn name(&self) -> String {
        self.collector.origin().ascii_serialization()
    }

    fn tell(&self, outcome: &Result<StatusCode, String>) {
        match outcome {
            Ok(_) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(collector.url = self.name(), "`{}` takes traces again", self.name());
                }
            }
            Err(reason) => {
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        collector.url = self.name(),
                        reason,
                        "`{}` takes no traces, and they are dropped until it does: {reason}",
                        self.name()
                    );
                }
            }
        }
    }
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self.client.post(self.collector.clone()).headers(parts.headers).body(body);
        let sent = self.runtime.spawn(async move {
            // Not before: its time limit needs the runtime.
            let mut answer = request.send().await?;
            let mut seen = 0;
            while let Some(piece) = answer.chunk().await? {
                seen += piece.len();
                if seen > MAX_ANSWER {
                    break;
                }
            }
            Ok::<_, reqwest::Error>(answer.status())
        });
        let outcome = match sent.await? {
            Ok(status) if status.is_success() => Ok(status),
            Ok(status) => Err(format!("it answers {status}")),
            // The outer ones repeat the address.
            Err(error) => Err(innermost(&error)),
        };
        self.tell(&outcome);
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = outcome?;
        Ok(answer)
    }
}
