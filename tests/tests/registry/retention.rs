//! Old versions deleted by rule: shown before, done by the queue, never what somebody needs.

use hub_schemas::manifest::Dependency;
use hub_tests::hub::{SampleAdapter, TestHub, Visitor};
use serde_json::{Value, json};

async fn versions(visitor: &Visitor, name: &str) -> Vec<String> {
    let info = visitor.get(&format!("adapters/{name}")).await.json();
    let versions = info["versions"].as_array().expect("versions");
    versions.iter().map(|v| v["version"].as_str().expect("text").to_owned()).collect()
}

async fn publish(ada: &Visitor, name: &str, all: &[&str]) {
    for version in all {
        ada.publish(&SampleAdapter::lora(name, version)).await;
    }
}

#[tokio::test]
async fn what_rules_would_delete_is_shown_first_and_changes_nothing() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    publish(&ada, "ada/x", &["1.0.0-rc.1", "1.0.0-rc.2", "1.0.0", "1.1.0-rc.1"]).await;
    let yank = json!({"yanked": true, "reason": "wrong labels"});
    assert_eq!(ada.patch("adapters/ada/x/versions/1.0.0", &yank).await.status, 200);
    let rules = json!({"prerelease_days": 30, "keep_prereleases": 1, "yanked_days": 14});
    let preview = "namespaces/ada/retention/preview";
    assert_eq!(ada.post(preview, &rules).await.json()["expired"], json!([]), "nothing is old yet");
    hub.age_versions(40).await;
    let expired = ada.post(preview, &rules).await.json();
    let told: Vec<Value> = expired["expired"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| json!([e["version"], e["reason"]]))
        .collect();
    assert_eq!(
        Value::from(told),
        json!([
            ["1.0.0", "yanked for more than 14 days"],
            ["1.0.0-rc.2", "a pre-release of more than 30 days ago"],
            ["1.0.0-rc.1", "a pre-release of more than 30 days ago"],
        ])
    );
    assert_eq!(versions(&ada, "ada/x").await.len(), 4);
    assert_eq!(ada.get("namespaces/ada/retention").await.json(), json!({}), "a preview sets nothing");
    let refused = ada.put_json("namespaces/ada/retention", &json!({"keep_prereleases": 3})).await;
    assert_eq!(refused.status, 422);
}

#[tokio::test]
async fn rules_delete_what_is_old_and_keep_what_somebody_needs() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    publish(&ada, "ada/x", &["1.0.0-rc.1", "1.0.0-rc.2", "1.0.0"]).await;
    let needs = |sample: &mut SampleAdapter| {
        sample.manifest.dependencies = vec![Dependency {
            name: "ada/x".parse().expect("a name"),
            version: "=1.0.0-rc.1".parse().expect("a requirement"),
            extra: serde_json::Map::new(),
        }];
    };
    let mut dependant = SampleAdapter::lora("eve/y", "1.0.0");
    needs(&mut dependant);
    eve.publish(&dependant).await;
    hub.age_versions(40).await;
    let rules = json!({"prerelease_days": 30});
    assert_eq!(ada.put_json("namespaces/ada/retention", &rules).await.json(), rules);
    hub.apply_retention().await;
    assert_eq!(versions(&ada, "ada/x").await, ["1.0.0", "1.0.0-rc.1"]);
    let info = ada.get("adapters/ada/x").await.json();
    assert_eq!(info["deleted"][0]["reason"], "a pre-release of more than 30 days ago");
    let again = ada.try_publish(&SampleAdapter::lora("ada/x", "1.0.0-rc.2")).await;
    assert_eq!(again.status, 409, "the number of a deleted version never comes back");
    // Without rules nothing goes.
    ada.put_json("namespaces/ada/retention", &json!({})).await;
    assert_eq!(ada.get("namespaces/ada/retention").await.json(), json!({}));
    hub.make_administrator("ada").await;
    let audit = ada.get("audit?limit=100").await;
    let text = String::from_utf8_lossy(&audit.body).into_owned();
    assert!(text.contains("(retention)") && text.contains("retention-set"), "{text}");
}
