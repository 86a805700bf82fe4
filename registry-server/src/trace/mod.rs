//! OpenTelemetry traces: how long a request or a job took, and what it asked of others.
//!
//! A [`Span`] has the attributes that are written down in this folder and nothing else: no path, no name of an adapter
//! and nothing of the log, so that none of them can be in a trace. A process that exports none has no tracer, and a
//! span of it is nothing.

mod courier;
mod export;
mod http;
mod job;
mod parts;

use std::{borrow::Cow, future::Future, sync::OnceLock};

use futures_util::future::Either;
use opentelemetry::{
    Context, ContextGuard, KeyValue, Value,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{FutureExt as _, SpanBuilder, Status, TraceContextExt as _, Tracer as _, WithContext},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracer};

pub use export::{ExportError, Exporter};
pub(crate) use http::method_name;
pub(crate) use job::note_cause;

/// Who caused a request or a job, as W3C Trace Context writes it down: 16 and 8 random bytes and a flag. `tracestate`
/// and baggage, in which anything may stand, are neither read nor sent.
const TRACEPARENT: &str = "traceparent";
/// The kind of an error that has no better name, as the semantic conventions have it.
const OTHER: &str = "_OTHER";

/// One for the process, as the log is.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Something that takes time. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Span(Option<Context>);

impl Span {
    /// Begins one below `parent`.
    fn begin(parent: impl FnOnce() -> Context, builder: impl FnOnce() -> SpanBuilder) -> Self {
        Self(TRACER.get().map(|tracer| {
            let parent = parent();
            let span = tracer.build_with_context(builder(), &parent);
            parent.with_span(span)
        }))
    }

    /// Begins one within what is under way here. Outside of that it is nothing: what a process does every other second
    /// would be all that is seen.
    fn part(builder: impl FnOnce() -> SpanBuilder) -> Self {
        if TRACER.get().is_none() || !Context::map_current(Context::has_active_span) {
            return Self(None);
        }
        Self::begin(Context::current, builder)
    }

    /// What `work` begins is within this.
    pub(crate) fn around<F: Future>(&self, work: F) -> Either<WithContext<F>, F> {
        match &self.0 {
            Some(context) => Either::Left(work.with_context(context.clone())),
            None => Either::Right(work),
        }
    }

    /// What begins here is within this, until the guard is dropped.
    pub(crate) fn enter(&self) -> Option<ContextGuard> {
        self.0.clone().map(Context::attach)
    }

    /// Sets an attribute that was not known at the beginning.
    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// It failed; `kind` is one of few words.
    pub(crate) fn failed(&self, kind: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            let span = context.span();
            span.set_attribute(KeyValue::new("error.type", kind.into()));
            span.set_status(Status::error(""));
        }
    }

    /// Looks at how something ended that has no kinds of errors.
    pub(crate) fn judged<T, E>(&self, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_err() {
            self.failed(OTHER);
        }
        outcome
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // A task that outlives it may hold the context.
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// What is done in a task of its own, within what is under way here.
pub(crate) fn here<F: Future>(work: F) -> Either<WithContext<F>, F> {
    if TRACER.get().is_some() { Either::Left(work.with_current_context()) } else { Either::Right(work) }
}

/// The ids of the trace and of the span that are under way here.
pub(crate) fn current_ids() -> Option<(String, String)> {
    Context::map_current(|context| {
        let span = context.span();
        let found = span.span_context();
        found.is_valid().then(|| (found.trace_id().to_string(), found.span_id().to_string()))
    })
}

/// The value of `traceparent` for whatever `context` asks of others.
fn traceparent(context: &Context) -> Option<String> {
    let span = context.span();
    let found = span.span_context();
    let sampled = u8::from(found.is_sampled());
    found.is_valid().then(|| format!("00-{}-{}-{sampled:02x}", found.trace_id(), found.span_id()))
}

/// Below whom something happens; a value that is none begins a trace.
fn caller(traceparent: Option<&str>) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Given(traceparent))
}

struct Given<'a>(Option<&'a str>);

impl Extractor for Given<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.filter(|_| key == TRACEPARENT)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_passed_on_as_it_came_and_what_is_none_begins_a_trace() {
        for given in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ] {
            assert_eq!(traceparent(&caller(Some(given))).as_deref(), Some(given));
        }
        for wrong in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "hubt_secret",
        ] {
            assert_eq!(traceparent(&caller(Some(wrong))), None, "{wrong}");
        }
        assert_eq!(traceparent(&caller(None)), None);
    }

    #[test]
    fn without_a_tracer_nothing_is_under_way() {
        let span = Span::job("nothing", "1", 1, "{}");
        let _within = span.enter();
        assert_eq!(current_ids(), None);
    }
}
