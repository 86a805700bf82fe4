//! Events reach webhooks, signed, until they are answered; nothing inside the network is reached.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use hub_schemas::api::{CreatedWebhook, Webhook};
use hub_server::domain::webhook::sign;
use hub_tests::{
    eventually,
    hub::{HubProcess, SampleAdapter, TestHub, Visitor},
};
use insta::assert_json_snapshot;
use serde_json::{Value, json};

type Seen = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A receiver that answers the first request with 500.
async fn receiver() -> (String, Seen) {
    let seen = Seen::default();
    let receive = async |State(seen): State<Seen>, headers: HeaderMap, body: Bytes| {
        let mut seen = seen.lock().expect("no panic");
        seen.push((headers, String::from_utf8_lossy(&body).into_owned()));
        if seen.len() == 1 { 500 } else { 204 }.try_into().unwrap_or(axum::http::StatusCode::OK)
    };
    let app = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

/// Waits until `count` requests came, however slow the machine is.
async fn wait(seen: &Seen, count: usize) -> Vec<(HeaderMap, String)> {
    let came = async || Some(seen.lock().expect("no panic").clone()).filter(|seen| seen.len() >= count);
    eventually(&format!("{count} requests come"), came).await
}

/// What came of the last event for the only webhook of `ada`.
async fn outcome(ada: &Visitor) -> Option<String> {
    let listed: Vec<Webhook> = ada.get("namespaces/ada/webhooks").await.expect_ok();
    listed[0].last_outcome.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_again_until_it_is_answered_and_its_signature_holds() {
    let data = tempfile::tempdir().expect("a folder");
    HubProcess::token(data.path(), "ada");
    let scopes = ["token", "create", "--user", "ada", "--scope", "read,publish,yank,admin"];
    let token = String::from_utf8(HubProcess::admin(data.path(), &scopes).stdout).expect("text");
    let server = HubProcess::start_with(data.path(), &["--webhooks-anywhere=true"]);
    let ada = server.visitor(token.trim());
    let (url, seen) = receiver().await;
    let made: CreatedWebhook = ada.post("namespaces/ada/webhooks", &json!({"url": url})).await.expect_ok();
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    let requests = wait(&seen, 2).await;
    assert_eq!(requests[0].1, requests[1].1, "the same bytes again");
    for (headers, body) in &requests {
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        assert_eq!(header("content-type"), "application/cloudevents+json");
        let timestamp = header("webhook-timestamp").parse().expect("seconds");
        let signature = sign(&made.secret, &header("webhook-id"), timestamp, body);
        assert_eq!(signature.as_deref(), Some(header("webhook-signature").as_str()));
    }
    let event: Value = serde_json::from_str(&requests[1].1).expect("JSON");
    assert_eq!(event["data"]["digest"], sample.digest().to_string());
    assert_json_snapshot!(event, {".id" => "[id]", ".time" => "[time]", ".data.digest" => "[digest]"}, @r#"
    {
      "data": {
        "digest": "[digest]",
        "kind": "adapter",
        "name": "ada/x",
        "version": "1.0.0"
      },
      "datacontenttype": "application/json",
      "id": "[id]",
      "source": "/adapter-hub",
      "specversion": "1.0",
      "subject": "ada/x@1.0.0",
      "time": "[time]",
      "type": "adapter-hub.version.published"
    }
    "#);

    ada.patch("adapters/ada/x/versions/1.0.0", &json!({"yanked": true, "reason": "wrong labels"})).await;
    let yanked: Value = serde_json::from_str(&wait(&seen, 3).await[2].1).expect("JSON");
    assert_eq!(
        (&yanked["type"], &yanked["subject"]),
        (&"adapter-hub.version.yanked".into(), &"ada/x@1.0.0".into())
    );
    // The outcome is written once the receiver has answered.
    let delivered = async || outcome(&ada).await.filter(|outcome| outcome == "delivered");
    eventually("the event is delivered", delivered).await;
    assert_eq!(ada.delete(&format!("namespaces/ada/webhooks/{}", made.webhook.id)).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_inside_the_network_is_reached_unless_the_operator_allows_it() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let (url, seen) = receiver().await;
    let refused = ada.post("namespaces/ada/webhooks", &json!({"url": url})).await;
    assert_eq!(refused.problem().detail, "`url` must begin with `https://`");
    let port = url.trim_end_matches("/hook").rsplit(':').next().expect("a port");
    let inside = format!("https://localhost:{port}/hook");
    assert_eq!(ada.post("namespaces/ada/webhooks", &json!({"url": inside})).await.status, 201);
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    let outcome = eventually("the event is tried", async || outcome(&ada).await).await;
    assert_eq!(outcome, "the host is not on the public internet");
    assert!(seen.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_namespace_has_at_most_ten_webhooks() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let add = || async { ada.post("namespaces/ada/webhooks", &json!({"url": "https://example.org/"})).await };
    for _ in 0..10 {
        assert_eq!(add().await.status, 201);
    }
    assert_eq!(add().await.problem().detail, "`ada` has 10 webhooks, as many as it may");
    assert_eq!(ada.delete("namespaces/ada/webhooks/none").await.status, 404);
}
