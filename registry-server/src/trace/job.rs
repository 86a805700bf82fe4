//! Spans of jobs. A job is part of the request that queued it, however much later and wherever it is done: its row
//! says who caused it.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanKind},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Span, TRACEPARENT, caller, traceparent};

/// What a row says besides the values of the job.
#[derive(Default, Deserialize)]
struct Caused {
    traceparent: Option<String>,
}

/// Adds to the values of a job who causes it, which the job itself does not read.
pub(crate) fn note_cause(values: &mut Value) {
    note(values, &Context::current());
}

fn note(values: &mut Value, context: &Context) {
    if let (Value::Object(fields), Some(cause)) = (values, traceparent(context)) {
        fields.insert(TRACEPARENT.to_owned(), cause.into());
    }
}

fn cause(values: &str) -> Context {
    let caused: Caused = serde_json::from_str(values).unwrap_or_default();
    caller(caused.traceparent.as_deref())
}

impl Span {
    /// A job that is tried, below what queued it.
    pub(crate) fn job(kind: &str, id: &str, attempt: i64, values: &str) -> Self {
        Self::begin(
            || cause(values),
            || {
                let attributes = [
                    KeyValue::new("job.kind", kind.to_owned()),
                    KeyValue::new("job.id", id.to_owned()),
                    KeyValue::new("job.attempt", attempt),
                ];
                SpanBuilder::from_name(kind.to_owned())
                    .with_kind(SpanKind::Consumer)
                    .with_attributes(attributes)
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_who_caused_the_job_and_one_that_does_not_begins_a_trace() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut values = json!({"object": "blobs/x"});
        note(&mut values, &caller(Some(given)));
        assert_eq!(values, json!({"object": "blobs/x", "traceparent": given}));
        assert_eq!(traceparent(&cause(&values.to_string())).as_deref(), Some(given));
        let mut values = json!({});
        note(&mut values, &Context::new());
        assert_eq!(values, json!({}));
        for old in ["{}", "null", "no JSON", r#"{"traceparent": 7}"#] {
            assert_eq!(traceparent(&cause(old)), None, "{old}");
        }
    }
}
