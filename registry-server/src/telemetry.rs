//! Metrics, in a recorder of this server's own: two servers in one process (as
//! tests start them) do not add up.

use std::{sync::Arc, time::Duration};

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use time::OffsetDateTime;

/// Seconds; from a cached read to a large publish.
const LATENCY_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

const REQUESTS: &str = "hub_http_requests_total";
const LATENCY: &str = "hub_http_request_duration_seconds";
const UPLOADED: &str = "hub_upload_bytes_total";
const DOWNLOADED: &str = "hub_download_bytes_total";
const PUBLISHED: &str = "hub_published_versions_total";
const PULLED: &str = "hub_pulls_total";
const COLLECTED: &str = "hub_collected_blobs_total";
const JOBS: &str = "hub_jobs_total";
const JOBS_WAITING: &str = "hub_jobs_waiting";
const JOBS_FAILED: &str = "hub_jobs_failed";
const MIRRORED: &str = "hub_mirror_requests_total";
const MIRRORED_BYTES: &str = "hub_mirror_bytes_total";
const CERTIFICATE: &str = "hub_tls_certificate_expires_timestamp_seconds";

static METADATA: Metadata<'static> = Metadata::new("hub_server", Level::INFO, Some("hub_server"));

/// Counts what the server does.
#[derive(Clone)]
pub(crate) struct Telemetry {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let builder = PrometheusBuilder::new();
        let recorder = builder
            .set_buckets_for_metric(Matcher::Full(LATENCY.to_owned()), &LATENCY_BUCKETS)
            .unwrap_or_default()
            .build_recorder();
        let texts = [
            (REQUESTS, "Requests by method, route and status"),
            (UPLOADED, "Bytes of files received"),
            (DOWNLOADED, "Bytes of files sent"),
            (PUBLISHED, "Versions published"),
            (PULLED, "Pulls counted"),
            (COLLECTED, "Files removed because nothing referred to them"),
            (MIRRORED, "Requests to mirrored registries, by what was asked for and outcome"),
            (MIRRORED_BYTES, "Bytes of files taken from mirrored registries"),
            (JOBS, "Jobs tried by this process, by kind and outcome"),
        ];
        for (name, text) in texts {
            recorder.describe_counter(KeyName::from_const_str(name), None, text.into());
            // A counter that never counted is shown as zero, not left out.
            if ![REQUESTS, JOBS, MIRRORED].contains(&name) {
                recorder.register_counter(&Key::from_static_name(name), &METADATA).increment(0);
            }
        }
        let gauges = [
            (JOBS_WAITING, "Jobs in the queue, by kind"),
            (JOBS_FAILED, "Jobs that were given up, by kind"),
            (CERTIFICATE, "When the certificate ends that is served, as Unix time"),
        ];
        for (name, text) in gauges {
            recorder.describe_gauge(KeyName::from_const_str(name), None, text.into());
        }
        recorder.describe_histogram(
            KeyName::from_const_str(LATENCY),
            Some(Unit::Seconds),
            "Time to the first byte of the answer, by method and route".into(),
        );
        let handle = recorder.handle();
        Self { recorder: Arc::new(recorder), handle }
    }

    /// A request was answered. `route` is the pattern, never the path: paths are without number.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = vec![
            Label::new("method", method.to_owned()),
            Label::new("route", route.to_owned()),
            Label::new("status", status.to_string()),
        ];
        self.count(&Key::from_parts(REQUESTS, labels), 1);
        let labels = vec![Label::new("method", method.to_owned()), Label::new("route", route.to_owned())];
        self.recorder
            .register_histogram(&Key::from_parts(LATENCY, labels), &METADATA)
            .record(took.as_secs_f64());
    }

    pub(crate) fn uploaded(&self, bytes: u64) {
        self.count(&Key::from_static_name(UPLOADED), bytes);
    }

    pub(crate) fn downloaded(&self, bytes: u64) {
        self.count(&Key::from_static_name(DOWNLOADED), bytes);
    }

    pub(crate) fn published(&self) {
        self.count(&Key::from_static_name(PUBLISHED), 1);
    }

    pub(crate) fn pulled(&self) {
        self.count(&Key::from_static_name(PULLED), 1);
    }

    pub(crate) fn collected(&self, blobs: u64) {
        self.count(&Key::from_static_name(COLLECTED), blobs);
    }

    /// A job was tried.
    pub(crate) fn job(&self, kind: &str, outcome: &'static str) {
        let labels = vec![Label::new("kind", kind.to_owned()), Label::new("outcome", outcome)];
        self.count(&Key::from_parts(JOBS, labels), 1);
    }

    /// Another registry was asked for something.
    pub(crate) fn mirrored<T, E>(&self, what: &'static str, answer: &Result<T, E>) {
        let outcome = if answer.is_ok() { "taken" } else { "failed" };
        let labels = vec![Label::new("what", what), Label::new("outcome", outcome)];
        self.count(&Key::from_parts(MIRRORED, labels), 1);
    }

    pub(crate) fn mirrored_bytes(&self, bytes: u64) {
        self.count(&Key::from_static_name(MIRRORED_BYTES), bytes);
    }

    /// How many jobs of a kind there are.
    pub(crate) fn jobs(&self, kind: &str, waiting: i64, failed: i64) {
        for (name, value) in [(JOBS_WAITING, waiting), (JOBS_FAILED, failed)] {
            let key = Key::from_parts(name, vec![Label::new("kind", kind.to_owned())]);
            self.recorder.register_gauge(&key, &METADATA).set(value as f64);
        }
    }

    /// A certificate is served from now on.
    pub(crate) fn certificate_expires(&self, at: OffsetDateTime) {
        let key = Key::from_static_name(CERTIFICATE);
        self.recorder.register_gauge(&key, &METADATA).set(at.unix_timestamp() as f64);
    }

    /// Everything in the Prometheus text format.
    pub(crate) fn render(&self) -> String {
        self.handle.render()
    }

    /// Moves what was recorded into the buckets; without it memory would grow until the next scrape.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn count(&self, key: &Key, by: u64) {
        self.recorder.register_counter(key, &METADATA).increment(by);
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telemetry")
    }
}
