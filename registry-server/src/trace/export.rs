//! Exporting traces: batches over OTLP/HTTP, by a thread of its own that no request waits for.

use std::time::Duration;

use opentelemetry::{InstrumentationScope, Key, KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{Resource, error::OTelSdkError, trace::SdkTracerProvider};
use tokio::task::spawn_blocking;
use url::Url;

use super::{TRACER, courier::Courier};

/// What a collector gets to take the last batch when the process stops.
const LAST_BATCH: Duration = Duration::from_secs(3);
/// The samplers that the SDK has; it would take another name for the default, without a word.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Why traces can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Variables of OpenTelemetry that can't be followed.
    #[error("can't export traces: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// No client for HTTP.
    #[error("can't export traces: {0}")]
    Client(#[from] reqwest::Error),
    /// Another sampler.
    #[error("`OTEL_TRACES_SAMPLER` is `{0}`; it can be `{samplers}`", samplers = SAMPLERS.join("`, `"))]
    Sampler(String),
    /// A share that is none.
    #[error("`OTEL_TRACES_SAMPLER_ARG` is `{0}`; it must be a number from 0 to 1")]
    Share(String),
}

/// What exports the traces of this process.
#[derive(Debug)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Exports from now on to the collector at `endpoint`, to which the path of OTLP is added.
    ///
    /// Must be called within a runtime. `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and its
    /// argument, `OTEL_EXPORTER_OTLP_HEADERS` and the variables of the batch processor mean what OpenTelemetry says.
    pub fn start(endpoint: &Url) -> Result<Self, ExportError> {
        let variable = |name| std::env::var(name).ok();
        check_sampler(
            variable("OTEL_TRACES_SAMPLER").as_deref(),
            variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
        )?;
        let collector = traces_at(endpoint);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(collector.as_str())
            .with_http_client(Courier::new(collector.clone())?)
            .build()?;
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        let scope =
            InstrumentationScope::builder("hub-server").with_version(env!("CARGO_PKG_VERSION")).build();
        // One that was started before stays.
        let _ = TRACER.set(provider.tracer_with_scope(scope));
        Ok(Self(provider))
    }

    /// Exports what is left, and nothing any more.
    pub async fn stop(self) {
        let stopped = spawn_blocking(move || self.0.shutdown_with_timeout(LAST_BATCH)).await;
        if let Ok(Err(OTelSdkError::Timeout(_) | OTelSdkError::InternalFailure(_))) = stopped {
            tracing::warn!("The last traces were not exported within {LAST_BATCH:?}");
        }
    }
}

/// Where OTLP takes traces at a collector.
fn traces_at(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "traces"]);
    }
    url
}

/// Who exports: what the variables say, and where they say nothing, what the program knows.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let is_given = |key: &Key| {
        // The SDK's word for a service that nobody named.
        given.get(key).is_some_and(|value| !value.as_str().starts_with("unknown_service"))
    };
    let known = [
        KeyValue::new("service.name", "hub-server"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", crate::db::new_id()),
    ];
    let missing = known.into_iter().filter(|known| !is_given(&known.key));
    Resource::builder().with_attributes(missing).build()
}

fn check_sampler(name: Option<&str>, argument: Option<&str>) -> Result<(), ExportError> {
    let Some(name) = name else { return Ok(()) };
    if !SAMPLERS.contains(&name) {
        return Err(ExportError::Sampler(name.to_owned()));
    }
    let share = argument.filter(|_| name.ends_with("traceidratio"));
    match share {
        Some(text) if !text.parse().is_ok_and(|share: f64| (0.0..=1.0).contains(&share)) => {
            Err(ExportError::Share(text.to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_otlp_is_added_to_the_endpoint() {
        for (endpoint, traces) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://hub:key@otlp.example.org/otlp", "https://hub:key@otlp.example.org/otlp/v1/traces"),
        ] {
            let endpoint: Url = endpoint.parse().expect("an address");
            assert_eq!(traces_at(&endpoint).as_str(), traces);
        }
    }

    #[test]
    fn a_sampler_that_would_be_ignored_is_refused() {
        assert!(check_sampler(None, Some("much")).is_ok());
        assert!(check_sampler(Some("parentbased_traceidratio"), Some("0.1")).is_ok());
        assert!(check_sampler(Some("traceidratio"), None).is_ok());
        let refused = check_sampler(Some("jaeger_remote"), None).expect_err("is none").to_string();
        assert!(
            refused.starts_with("`OTEL_TRACES_SAMPLER` is `jaeger_remote`; it can be `always_on`, "),
            "{refused}"
        );
        for wrong in ["much", "1.1", "-0.1", "NaN"] {
            assert!(check_sampler(Some("traceidratio"), Some(wrong)).is_err(), "{wrong}");
        }
    }
}
