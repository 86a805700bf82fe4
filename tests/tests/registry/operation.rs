//! What operators see: health, metrics, and problems on every wrong path.

use hub_schemas::problem::ProblemCode;
use hub_server::Location;
use hub_tests::hub::{Answer, HubProcess, SampleAdapter, TestHub};
use reqwest::Method;

#[tokio::test]
async fn a_healthy_server_says_so() {
    let hub = TestHub::start().await;
    let anyone = hub.anonymous();
    assert_eq!(anyone.get("/healthz").await.status, 200);
    assert_eq!(anyone.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_server_without_its_storage_is_alive_but_not_ready() {
    let hub = TestHub::start_with(|config| config.storage = Location::Files).await;
    let files = hub.data().join("files");
    std::fs::remove_dir_all(&files).expect("removes");
    std::fs::write(&files, b"in the way").expect("writes");
    let anyone = hub.anonymous();
    assert_eq!(anyone.get("/healthz").await.status, 200);
    let not_ready = anyone.get("/readyz").await;
    assert_eq!((not_ready.status.as_u16(), not_ready.code()), (503, ProblemCode::Unavailable));
}

#[tokio::test]
async fn metrics_count_requests_bytes_publishes_and_pulls() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.publish(&sample).await;
    ada.get(&format!("manifests/{}?purpose=pull", sample.digest())).await;
    ada.get(&format!("adapters/ada/sentiment/blobs/{}", sample.manifest.files[0].digest)).await;
    let text = String::from_utf8(ada.get("/metrics").await.body).expect("text");
    let total: u64 = sample.manifest.total_size();
    for line in [
        format!("hub_upload_bytes_total {total}"),
        format!("hub_download_bytes_total {}", sample.manifest.files[0].size),
        "hub_published_versions_total 1".to_owned(),
        "hub_pulls_total 1".to_owned(),
        "hub_http_requests_total{method=\"PUT\",route=\"/api/v1/adapters/{namespace}/{name}/versions/{version}\",status=\"201\"} 1".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(text.contains("hub_http_request_duration_seconds_bucket"), "{text}");
    assert!(
        text.contains("hub_jobs_waiting{kind=\"deliver-event\"} 0"),
        "what is done does not wait: {text}"
    );
    assert!(!text.contains("sentiment"), "no names in metrics");
}

#[tokio::test]
async fn metrics_do_not_grow_with_methods_that_somebody_makes_up() {
    let hub = TestHub::start().await;
    let anyone = hub.anonymous();
    for made_up in ["SPAM-1", "SPAM-2"] {
        let method = Method::from_bytes(made_up.as_bytes()).expect("a method");
        assert_eq!(Answer::of(anyone.request(method, "search")).await.status, 405);
    }
    let text = String::from_utf8(anyone.get("/metrics").await.body).expect("text");
    let line = "hub_http_requests_total{method=\"_OTHER\",route=\"/api/v1/search\",status=\"405\"} 2";
    assert!(text.contains(line) && !text.contains("SPAM"), "{text}");
}

#[tokio::test]
async fn every_wrong_path_and_method_is_a_problem_with_a_request_id() {
    let hub = TestHub::start().await;
    let anyone = hub.anonymous();
    assert_eq!(anyone.get("/nowhere").await.code(), ProblemCode::NotFound);
    let method = anyone.delete("search").await;
    assert_eq!(method.code(), ProblemCode::MethodNotAllowed);
    assert!(!method.header("allow").is_empty());
    let given = anyone.get_with("/healthz", "x-request-id", "from-the-proxy-1").await;
    assert_eq!(given.header("x-request-id"), "from-the-proxy-1");
    let evil = anyone.get_with("/healthz", "x-request-id", "<script>").await;
    assert_ne!(evil.header("x-request-id"), "<script>");
    let body =
        Answer::of(hub.user("ada").await.request(Method::POST, "adapters/ada/x/uploads").body("{")).await;
    assert_eq!(body.code(), ProblemCode::BadRequest);
}

#[tokio::test]
async fn settings_come_from_flag_then_environment_then_file() {
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("hub.toml");
    std::fs::write(&file, "[limits]\nmax_file_bytes = 10\nmax_version_bytes = 20\n").expect("writes");
    let token = HubProcess::token(data.path(), "ada");
    let config = file.to_str().expect("text");
    let server = HubProcess::start_with(
        data.path(),
        &["--config", config, "--max-file-bytes", "5", "--log-format", "json"],
    );
    let refused = server.visitor(&token).start_upload("ada/x", hub_schemas::digest::Digest::of(b""), 6).await;
    assert_eq!(refused.problem().detail, "the file has 6 bytes; this registry accepts at most 5");
}
