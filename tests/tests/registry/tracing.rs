//! Traces: every request is a span of its sender's trace, with what it caused, and tells no names; a collector that is
//! away is nobody's trouble.

use std::{fs, net::TcpListener};

use hub_server::config::Config;
use hub_tests::{
    collector::{Collector, attribute, hex, texts},
    eventually,
    hub::{HubProcess, SampleAdapter, Visitor, bucket, flags_of, migrated},
    receiver::Receiver,
    services::seaweedfs::SeaweedFs,
};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};
use reqwest::Method;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENDER: &str = "00f067aa0ba902b7";
const PUBLISH: &str = "PUT /api/v1/adapters/{namespace}/{name}/versions/{version}";

fn traceparent() -> String {
    format!("00-{TRACE}-{SENDER}-01")
}

/// Publishes within the trace.
async fn publish(ada: &Visitor, sample: &SampleAdapter, query: &str) {
    ada.upload_files(sample).await;
    let (name, version) = (&sample.manifest.name, &sample.manifest.version);
    let request = ada.request(Method::PUT, &format!("adapters/{name}/versions/{version}{query}"));
    let request = request.header("traceparent", traceparent()).header("tracestate", "vendor=secret-state");
    let answer = request.body(sample.manifest_bytes()).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_of_its_senders_trace_and_no_name_is_in_it() {
    let (data, collector) = (tempfile::tempdir().expect("a folder"), Collector::start().await);
    let token = HubProcess::owner_token(data.path(), &[], "ada");
    let server = HubProcess::start_with(data.path(), &["--otlp-endpoint", collector.url()]);
    let ada = server.visitor(&token);
    let sample = SampleAdapter::lora("ada/hidden-name", "1.0.0");
    publish(&ada, &sample, "?visibility=private").await;
    let read = ada
        .request(Method::GET, "adapters/ada/hidden-name")
        .header("traceparent", traceparent())
        .header("x-request-id", "from-the-proxy-1");
    assert_eq!(read.send().await.expect("an answer").status(), 200);
    assert_eq!(ada.get("/hidden-name").await.status, 404);
    assert_eq!(ada.get_with("adapters/ada/hidden-name", "traceparent", "hidden-name").await.status, 200);
    // Now the storage is gone.
    let files = data.path().join("files");
    fs::remove_dir_all(&files).expect("removes");
    fs::write(&files, b"in the way").expect("writes");
    assert_eq!(ada.get("/readyz").await.status, 503);
    let port = server.url().rsplit(':').next().expect("a port").to_owned();
    assert_eq!(server.terminate(), Some(0), "what is left is exported when it stops");

    let spans = collector.spans();
    let of_trace = collector.trace(TRACE);
    let read = named(&of_trace, "GET /api/v1/adapters/{namespace}/{name}");
    assert_eq!((hex(&read.parent_span_id).as_str(), read.kind()), (SENDER, SpanKind::Server));
    assert_eq!(read.status.as_ref().map_or(StatusCode::Unset, Status::code), StatusCode::Unset);
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/api/v1/adapters/{namespace}/{name}"),
        ("network.protocol.version", "1.1"),
        ("request.id", "from-the-proxy-1"),
        ("server.address", "127.0.0.1"),
        ("server.port", port.as_str()),
        ("url.scheme", "http"),
    ];
    assert_eq!(texts(&read.attributes), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    // What it waited for stands below it.
    let publish = named(&of_trace, PUBLISH);
    assert!(of_trace.iter().any(|s| s.name == "transaction" && s.parent_span_id == publish.span_id));
    let broken = named(&spans, "GET /readyz");
    assert_eq!(broken.status.as_ref().map(Status::code), Some(StatusCode::Error));
    assert_eq!(attribute(broken, "error.type").as_deref(), Some("503"));
    let nowhere = named(&spans, "GET");
    assert_eq!(attribute(nowhere, "http.response.status_code").as_deref(), Some("404"));
    assert!(nowhere.parent_span_id.is_empty());
    for body in collector.bytes() {
        for secret in ["hidden-name", "secret-state", &token] {
            assert!(!body.windows(secret.len()).any(|found| found == secret.as_bytes()), "{secret}");
        }
    }
    let resource = &collector.resources()[0];
    let of = |key: &str| resource.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str());
    assert_eq!(of("service.name"), Some("hub-server"));
    assert_eq!(of("service.version"), Some(env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_through_the_queue_to_a_webhook_and_through_a_mirror_to_the_other_registry() {
    let (data, collector) = (tempfile::tempdir().expect("a folder"), Collector::start().await);
    let token = HubProcess::owner_token(data.path(), &[], "ada");
    let flags = ["--otlp-endpoint", collector.url(), "--webhooks-anywhere=true"];
    let server = HubProcess::start_with(data.path(), &flags);
    let ada = server.visitor(&token);
    let receiver = Receiver::start().await;
    assert_eq!(ada.post("namespaces/ada/webhooks", &json!({"url": receiver.url()})).await.status, 201);
    publish(&ada, &SampleAdapter::lora("ada/x", "1.0.0"), "").await;
    let event = receiver.wait(1).await.remove(0);
    assert!(!event.headers.contains_key("tracestate"));
    let carried = event.header("traceparent");

    let mirror = tempfile::tempdir().expect("a folder");
    let file = mirror.path().join("hub.toml");
    let text = format!("[[mirrors]]\nurl = \"{}\"\nnamespaces = [\"ada\"]\n", server.url());
    fs::write(&file, text).expect("writes");
    let eve = HubProcess::token(mirror.path(), "eve");
    let config = file.to_string_lossy();
    let flags = ["--config", &config, "--otlp-endpoint", collector.url()];
    let second = HubProcess::start_with(mirror.path(), &flags);
    let index = second.visitor(&eve).get_with("index/ada/x", "traceparent", &traceparent()).await;
    assert_eq!(index.status, 200);
    assert_eq!((second.terminate(), server.terminate()), (Some(0), Some(0)));

    let spans = collector.trace(TRACE);
    let below = |parent: &Span, name: &str| {
        let found = spans.iter().find(|span| span.name == name && span.parent_span_id == parent.span_id);
        found.unwrap_or_else(|| panic!("no `{name}` below `{}`", parent.name)).clone()
    };
    let job = below(named(&spans, PUBLISH), "deliver-event");
    assert_eq!(job.kind(), SpanKind::Consumer);
    assert_eq!(attribute(&job, "job.kind").as_deref(), Some("deliver-event"));
    let sent = below(&job, "POST");
    assert_eq!(sent.kind(), SpanKind::Client);
    assert_eq!(carried, format!("00-{TRACE}-{}-01", hex(&sent.span_id)));
    let of_sender = |span: &&Span| hex(&span.parent_span_id) == SENDER;
    let here =
        spans.iter().filter(of_sender).find(|span| span.name == "GET /api/v1/index/{namespace}/{name}");
    let asked = below(here.expect("the mirror's own span"), "GET");
    below(&asked, "GET /api/v1/index/{namespace}/{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_with_the_trace_of_the_request_that_queued_its_job() {
    let (data, collector) = (tempfile::tempdir().expect("a folder"), Collector::start().await);
    let mut config = Config::embedded(data.path());
    config.database_url = Some(migrated().await);
    config.storage = bucket(SeaweedFs::shared());
    let mut place = flags_of(config);
    let place_of_all: Vec<&str> = place.iter().map(String::as_str).collect();
    let token = HubProcess::token_with(data.path(), &place_of_all, "ada");
    place.push(format!("--otlp-endpoint={}", collector.url()));
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let server = HubProcess::start_with(data.path(), &[&place[..], &["--run-jobs=false"]].concat());
    let mut worker = HubProcess::worker(data.path(), &place);
    publish(&server.visitor(&token), &SampleAdapter::lora("ada/x", "1.0.0"), "").await;
    // The worker exports every five seconds, the server when it stops.
    let of_trace = || collector.trace(TRACE);
    let kept = async || of_trace().into_iter().find(|span| span.name == "keep-manifest");
    let job = eventually("the worker exports its job", kept).await;
    assert_eq!(server.terminate(), Some(0));
    worker.kill().expect("it was running");
    worker.wait().expect("it stopped");
    let spans = of_trace();
    assert_eq!(job.parent_span_id, named(&spans, PUBLISH).span_id);
    let stored = spans.iter().find(|span| span.name == "S3/PutObject" && span.parent_span_id == job.span_id);
    assert_eq!(stored.map(Span::kind), Some(SpanKind::Client));
    assert!(spans.iter().any(|span| attribute(span, "db.system.name").as_deref() == Some("postgresql")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_said_once_and_keeps_nobody_waiting() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let refusing = gone.local_addr().expect("an address");
    drop(gone);
    // This one takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    for (address, is_said) in [(refusing, true), (silent.local_addr().expect("an address"), false)] {
        let data = tempfile::tempdir().expect("a folder");
        let token = HubProcess::token(data.path(), "ada");
        let log = data.path().join("log");
        let endpoint = format!("http://{address}");
        let server = HubProcess::start_with_log(data.path(), &["--otlp-endpoint", &endpoint], &log);
        let ada = server.visitor(&token);
        let lines = || -> Vec<Value> {
            let text = fs::read_to_string(&log).expect("reads");
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        let refusals = || {
            let of =
                |line: &&Value| line["message"].as_str().is_some_and(|text| text.contains("takes no traces"));
            lines().iter().filter(of).count()
        };
        ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
        if is_said {
            eventually("the log says that no traces are taken", async || (refusals() > 0).then_some(()))
                .await;
        }
        assert_eq!(ada.get_with("adapters/ada/x", "traceparent", &traceparent()).await.status, 200);
        assert_eq!(server.terminate(), Some(0));
        assert_eq!(refusals(), usize::from(is_said), "once, and not again with the last batch");
        let line = lines().into_iter().find(|line| line["trace_id"] == TRACE).expect("a line of the trace");
        assert_eq!(line["http.route"], "/api/v1/adapters/{namespace}/{name}");
        assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
    }
}
