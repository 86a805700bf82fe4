//! Spans of HTTP, by the semantic conventions of OpenTelemetry for servers and clients.
//!
//! Left out of what these ask for: `url.path`, `url.full`, `url.query`, `client.address` and `user_agent.original`.
//! Names of private adapters stand in the first, and who asks is in the log, by the id of the request.

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode, Version, header::HOST, uri::Authority},
};
use opentelemetry::{
    KeyValue,
    trace::{SpanBuilder, SpanKind},
};
use reqwest::RequestBuilder;
use url::Url;

use super::{OTHER, Span, TRACEPARENT, caller, traceparent};

/// No name of a host is longer (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 255;

/// The method, if it is one that there is: anybody can send others, without number.
pub(crate) fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

impl Span {
    /// A request that came, below the span that its sender names.
    pub(crate) fn server(request: &Request, scheme: &'static str, id: &str) -> Self {
        let sender = || {
            let headers = request.headers();
            caller(headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()))
        };
        Self::begin(sender, || {
            let method = method_name(request.method());
            let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
            let mut attributes = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("url.scheme", scheme),
                KeyValue::new("request.id", id.to_owned()),
            ];
            attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
            attributes
                .extend(version(request).map(|version| KeyValue::new("network.protocol.version", version)));
            if let Some(named) = authority(request).filter(|named| named.host().len() <= MAX_HOST) {
                attributes.push(KeyValue::new("server.address", named.host().to_owned()));
                attributes.extend(named.port_u16().map(|port| KeyValue::new("server.port", i64::from(port))));
            }
            let shown = if method == OTHER { "HTTP" } else { method };
            let name = route.map_or_else(|| shown.to_owned(), |route| format!("{shown} {route}"));
            SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes)
        })
    }

    /// A request to another server.
    pub(crate) fn client(method: &'static str, url: &Url) -> Self {
        Self::part(|| {
            let mut attributes = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("url.scheme", url.scheme().to_owned()),
            ];
            attributes.extend(url.host_str().map(|host| KeyValue::new("server.address", host.to_owned())));
            let port = url.port_or_known_default();
            attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
            SpanBuilder::from_name(method).with_kind(SpanKind::Client).with_attributes(attributes)
        })
    }

    /// The request, telling the other server that it is part of this.
    pub(crate) fn carried_by(&self, request: RequestBuilder) -> RequestBuilder {
        match self.0.as_ref().and_then(traceparent) {
            Some(value) => request.header(TRACEPARENT, value),
            None => request,
        }
    }

    /// This server answered; a request that was wrong is no error of its own.
    pub(crate) fn answered(&self, status: StatusCode) {
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.failed(status.as_str().to_owned());
        }
    }

    /// Another server answered.
    pub(crate) fn was_answered(&self, status: StatusCode) {
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_client_error() || status.is_server_error() {
            self.failed(status.as_str().to_owned());
        }
    }
}

fn version(request: &Request) -> Option<&'static str> {
    match request.version() {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

/// Which server the request names.
fn authority(request: &Request) -> Option<Authority> {
    let named = request.uri().authority().cloned();
    named.or_else(|| request.headers().get(HOST)?.to_str().ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_few_however_many_somebody_makes_up() {
        let own = Method::from_bytes(b"HUB-1").expect("a method");
        assert_eq!([&Method::PATCH, &own].map(method_name), ["PATCH", "_OTHER"]);
    }
}
