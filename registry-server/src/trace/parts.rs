//! Spans of what a request or a job asks of database and storage.

use opentelemetry::{
    KeyValue,
    trace::{SpanBuilder, SpanKind},
};

use super::Span;

impl Span {
    /// A transaction of the database `system`, from waiting for it to its end.
    pub(crate) fn transaction(system: &'static str) -> Self {
        Self::part(|| {
            SpanBuilder::from_name("transaction")
                .with_kind(SpanKind::Client)
                .with_attributes([KeyValue::new("db.system.name", system)])
        })
    }

    /// A request to a store across a network, by the name that S3 gives it.
    pub(crate) fn storage(operation: &'static str) -> Self {
        Self::part(|| {
            SpanBuilder::from_name(format!("S3/{operation}")).with_kind(SpanKind::Client).with_attributes([
                KeyValue::new("rpc.system", "aws-api"),
                KeyValue::new("rpc.service", "S3"),
                KeyValue::new("rpc.method", operation),
            ])
        })
    }

    /// Nothing.
    pub(crate) const fn none() -> Self {
        Self(None)
    }
}
