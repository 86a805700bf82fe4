//! An OpenTelemetry collector for tests: takes what a server exports over OTLP/HTTP.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, TracesData},
};
use prost::Message as _;

use crate::serving::{listen, serve};

/// A collector, and everything that came.
#[derive(Debug)]
pub struct Collector {
    url: String,
    seen: Seen,
}

type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

impl Collector {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let seen = Seen::default();
        let receive = async |State(seen): State<Seen>, headers: HeaderMap, body: Bytes| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
            StatusCode::OK
        };
        let app = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&seen));
        let (listener, url) = listen().await;
        serve(listener, app);
        Self { url, seen }
    }

    /// What `otlp_endpoint` is set to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bytes of every request.
    pub fn bytes(&self) -> Vec<Bytes> {
        self.seen().iter().map(|(_, body)| body.clone()).collect()
    }

    /// The headers of every request.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.seen().iter().map(|(headers, _)| headers.clone()).collect()
    }

    /// What every process said of itself.
    pub fn resources(&self) -> Vec<Vec<(String, String)>> {
        let resources = self.data().into_iter().flat_map(|data| data.resource_spans);
        resources.filter_map(|found| Some(texts(&found.resource?.attributes))).collect()
    }

    /// Every span.
    pub fn spans(&self) -> Vec<Span> {
        let resources = self.data().into_iter().flat_map(|data| data.resource_spans);
        resources.flat_map(|found| found.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// The spans of a trace, by its id.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| hex(&span.trace_id) == id).collect()
    }

    fn data(&self) -> Vec<TracesData> {
        let parse = |(headers, body): &(HeaderMap, Bytes)| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(body.clone()).expect("a request of OTLP");
            TracesData { resource_spans: request.resource_spans }
        };
        self.seen().iter().map(parse).collect()
    }

    fn seen(&self) -> MutexGuard<'_, Vec<(HeaderMap, Bytes)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id as headers and logs write it.
pub fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes all");
        text
    })
}

/// Attributes by name, sorted, numbers as text.
pub fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |found: &KeyValue| {
        let value = match found.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone(),
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (found.key.clone(), value)
    };
    let mut found: Vec<_> = attributes.iter().map(text).collect();
    found.sort();
    found
}

/// The attribute `name` of a span.
pub fn attribute(span: &Span, name: &str) -> Option<String> {
    texts(&span.attributes).into_iter().find_map(|(found, value)| (found == name).then_some(value))
}
