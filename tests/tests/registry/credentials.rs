//! Keys for the store that no flag and no file has: those of the environment, and those of a container.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, http::HeaderMap, routing::get};
use hub_schemas::problem::ProblemCode;
use hub_server::config::Config;
use hub_tests::{
    cli::Home,
    hub::{HubProcess, SampleAdapter, bucket, flags_of},
    services::seaweedfs::{KEYS, SeaweedFs},
};
use serde_json::json;
use tempfile::TempDir;

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
        // Whoever makes a token needs the keys: the registry and its store are checked to belong together.
        let with: Vec<&str> = all.iter().map(String::as_str).collect();
        let token = HubProcess::token_with(data.path(), &with, "ada");
        let flags = all.iter().filter(|flag| !flag.contains("-key")).cloned().collect::<Vec<_>>();
        assert_eq!(flags.len() + 2, all.len(), "{all:?}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_asked_for_its_keys_with_its_token() {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = {
        let asked = Arc::clone(&asked);
        async move |headers: HeaderMap| {
            asked.fetch_add(1, Ordering::Relaxed);
            let right = headers.get("authorization").is_some_and(|token| token == "a pod's token");
            let secret = if right { KEYS.1 } else { "nobody's" };
            // Static keys have no session: an empty token is none.
            Json(json!({"AccessKeyId": KEYS.0, "SecretAccessKey": secret, "Token": "",
                        "Expiration": "2099-01-01T00:00:00Z"}))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/v1/credentials", listener.local_addr().expect("an address"));
    let router = Router::new().route("/v1/credentials", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let place = Keyless::new();
    let file = place.data.path().join("pod-token");
    std::fs::write(&file, "a pod's token").expect("writes");
    let file = file.to_str().expect("plain text").to_owned();
    let server = place.start(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
    ]);
    place.works(&server).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1, "asked once, and again when they expire");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_store_refuses_are_a_503_and_nothing_is_half_published() {
    let place = Keyless::new();
    let server = place.start(&[("AWS_ACCESS_KEY_ID", KEYS.0), ("AWS_SECRET_ACCESS_KEY", "nobody's")]);
    let ada = server.visitor(&place.token);
    let begun = ada.start_upload("ada/x", hub_schemas::digest::Digest::of(b"x"), 1).await;
    let id = begun.json()["id"].as_str().expect("an id").to_owned();
    let refused = ada.append(&id, 0, b"x", 1).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, ProblemCode::Unavailable), "{refused:?}");
    assert_eq!(ada.get("adapters/ada/x").await.status, 404);
}
