//! Events reach webhooks, signed, until they are answered; nothing inside the network is reached.

use hub_schemas::api::{CreatedWebhook, Webhook};
use hub_server::domain::webhook::sign;
use hub_tests::{
    eventually,
    hub::{HubProcess, SampleAdapter, TestHub, Visitor},
    receiver::Receiver,
};
use insta::assert_json_snapshot;
use serde_json::json;

/// What came of the last event for the only webhook of `ada`.
async fn outcome(ada: &Visitor) -> Option<String> {
    let listed: Vec<Webhook> = ada.get("namespaces/ada/webhooks").await.expect_ok();
    listed[0].last_outcome.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_again_until_it_is_answered_and_its_signature_holds() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::owner_token(data.path(), &[], "ada");
    let server = HubProcess::start_with(data.path(), &["--webhooks-anywhere=true"]);
    let ada = server.visitor(&token);
    let receiver = Receiver::refusing_first().await;
    let hook = json!({"url": receiver.url()});
    let made: CreatedWebhook = ada.post("namespaces/ada/webhooks", &hook).await.expect_ok();
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    let requests = receiver.wait(2).await;
    assert_eq!(requests[0].body, requests[1].body, "the same bytes again");
    for request in &requests {
        assert_eq!(request.header("content-type"), "application/cloudevents+json");
        let timestamp = request.header("webhook-timestamp").parse().expect("seconds");
        let signature = sign(&made.secret, request.header("webhook-id"), timestamp, &request.body);
        assert_eq!(signature.as_deref(), Some(request.header("webhook-signature")));
    }
    let event = requests[1].event();
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
    let yanked = receiver.wait(3).await[2].event();
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
    let receiver = Receiver::start().await;
    let refused = ada.post("namespaces/ada/webhooks", &json!({"url": receiver.url()})).await;
    assert_eq!(refused.problem().detail, "`url` must begin with `https://`");
    let port = receiver.url().trim_end_matches("/hook").rsplit(':').next().expect("a port");
    let inside = format!("https://localhost:{port}/hook");
    assert_eq!(ada.post("namespaces/ada/webhooks", &json!({"url": inside})).await.status, 201);
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    let outcome = eventually("the event is tried", async || outcome(&ada).await).await;
    assert_eq!(outcome, "the host is not on the public internet");
    assert!(receiver.deliveries().is_empty());
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
