//! Keys for the store that no flag and no file has: those of the environment, and those of a container.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, http::HeaderMap, routing::get};
use hub_schemas::{api::UploadStatus, digest::Digest, problem::ProblemCode};
use hub_server::config::Config;
use hub_tests::{
    cli::{Home, Said},
    hub::{HubProcess, SampleAdapter, bucket, flags_of},
    services::seaweedfs::{KEYS, SeaweedFs},
    serving::{listen, serve},
};
use serde_json::json;
use tempfile::TempDir;

/// Longer than keys that are about to expire are used without asking again.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

/// A registry that is told about a bucket and not about its keys.
struct Keyless {
    data: TempDir,
    flags: Vec<String>,
    token: String,
}

impl Keyless {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut config = Config::embedded(data.path());
        config.storage = bucket(SeaweedFs::shared());
        let all = flags_of(config);
        let flags = all.iter().filter(|flag| !flag.contains("-key")).cloned().collect::<Vec<_>>();
        assert_eq!(flags.len() + 2, all.len(), "{all:?}");
        let strs: Vec<&str> = flags.iter().map(String::as_str).collect();
        let token = HubProcess::token_with(data.path(), &strs, "ada");
        Self { data, flags, token }
    }

    fn start(&self, environment: &[(&str, &str)]) -> HubProcess {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        HubProcess::start_in(self.data.path(), &flags, environment)
    }

    /// Publishes, and pulls by addresses that the keys have signed.
    async fn works(&self, server: &HubProcess) {
        let sample = SampleAdapter::lora("ada/x", "1.0.0");
        assert!(server.visitor(&self.token).publish(&sample).await.created);
        let home = Home::logged_in(&server.url(), &self.token).await;
        home.hub(&["pull", "ada/x@1.0.0"]).await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_environment_are_enough() {
    let place = Keyless::new();
    let server = place.start(&[("AWS_ACCESS_KEY_ID", KEYS.0), ("AWS_SECRET_ACCESS_KEY", KEYS.1)]);
    place.works(&server).await;
}

/// What hands out keys to the programs of a machine: right ones, until it is told otherwise, that are asked for again
/// before each request because they are about to expire.
async fn container(asked: &Arc<AtomicUsize>, is_right: &Arc<AtomicBool>) -> String {
    let (asked, is_right) = (Arc::clone(asked), Arc::clone(is_right));
    let answer = async move |headers: HeaderMap| {
        asked.fetch_add(1, Ordering::Relaxed);
        let knows = headers.get("authorization").is_some_and(|token| token == "a pod's token");
        let secret = if knows && is_right.load(Ordering::Relaxed) { KEYS.1 } else { "nobody's" };
        let expires = time::OffsetDateTime::now_utc() + time::Duration::MINUTE;
        let expires = expires.format(&time::format_description::well_known::Rfc3339).expect("a time");
        // Static keys have no session: an empty token is none.
        Json(json!({"AccessKeyId": KEYS.0, "SecretAccessKey": secret, "Token": "", "Expiration": expires}))
    };
    let (listener, url) = listen().await;
    serve(listener, Router::new().route("/v1/credentials", get(answer)));
    format!("{url}/v1/credentials")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_asked_for_its_keys_with_its_token() {
    let (asked, is_right) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    let url = container(&asked, &is_right).await;
    let place = Keyless::new();
    let file = place.data.path().join("pod-token");
    std::fs::write(&file, "a pod's token").expect("writes");
    let server = place.start(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().expect("plain text")),
    ]);
    place.works(&server).await;
    assert!(asked.load(Ordering::Relaxed) > 1, "keys that are about to expire are asked for again");

    // Keys that the store refuses, as when somebody has withdrawn them: nothing is lost, and it goes on with new ones.
    let ada = server.visitor(&place.token);
    let begun: UploadStatus = ada.start_upload("ada/y", Digest::of(b"x"), 1).await.expect_ok();
    is_right.store(false, Ordering::Relaxed);
    tokio::time::sleep(ASKED_AGAIN).await;
    let refused = ada.append(&begun.id, 0, b"x", 1).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, ProblemCode::Unavailable), "{refused:?}");
    is_right.store(true, Ordering::Relaxed);
    tokio::time::sleep(ASKED_AGAIN).await;
    let again: UploadStatus = ada.append(&begun.id, 0, b"x", 1).await.expect_ok();
    assert!(again.complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_keys_the_store_refuses_does_not_start_and_says_so() {
    let place = Keyless::new();
    let flags: Vec<&str> = place.flags.iter().map(String::as_str).collect();
    let keys = [("AWS_ACCESS_KEY_ID", KEYS.0), ("AWS_SECRET_ACCESS_KEY", "nobody's")];
    let verb = [&["serve", "--listen=127.0.0.1:0"], &flags[..]].concat();
    let said = Said::new(&HubProcess::admin_in(place.data.path(), &verb, &keys)).expect_code(1);
    assert!(said.stderr.contains("the storage does not answer"), "{said}");
}
