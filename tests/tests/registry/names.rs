//! Names that are kept back or look like others, and adapters in quarantine.

use hub_schemas::{
    api::{AuditPage, Published, SearchPage},
    digest::Digest,
    problem::ProblemCode,
};
use hub_server::admin;
use hub_tests::{
    cli::{Home, Said},
    hub::{Answer, HubProcess, SampleAdapter, TestHub, Visitor},
};
use insta::assert_snapshot;
use serde_json::json;

async fn quarantine(who: &Visitor, id: &str, reason: &str) -> Answer {
    who.put_json(&format!("adapters/{id}/quarantine"), &json!({"reason": reason})).await
}

#[tokio::test]
async fn an_adapter_in_quarantine_is_refused_to_everybody_with_the_reason() {
    let hub = TestHub::start().await;
    let (ada, root, anyone) = (hub.user("ada").await, hub.user("root").await, hub.anonymous());
    hub.make_administrator("root").await;
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    let put = quarantine(&root, "ada/x", "the weights leak training data").await;
    assert_eq!(put.json()["quarantine"]["reason"], "the weights leak training data");

    let manifest = format!("manifests/{}", sample.digest());
    let blob = format!("adapters/ada/x/blobs/{}", Digest::of(sample.file("README.md")));
    for path in ["index/ada/x", manifest.as_str(), blob.as_str()] {
        for who in [&anyone, &ada] {
            let refused = who.get(path).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (403, ProblemCode::Quarantined), "{path}");
            assert_eq!(refused.problem().detail, "`ada/x` is in quarantine: the weights leak training data");
        }
    }
    let next = ada.try_publish(&SampleAdapter::lora("ada/x", "1.1.0")).await;
    assert_eq!(next.code(), ProblemCode::Quarantined);
    let page: SearchPage = anyone.get("search?q=sentiment").await.expect_ok();
    assert_eq!(page.total, 0);
    assert_eq!(
        anyone.get("adapters/ada/x").await.json()["quarantine"]["reason"],
        "the weights leak training data"
    );

    assert_eq!(quarantine(&ada, "ada/x", "mine").await.code(), ProblemCode::Forbidden);
    assert_eq!(root.delete("adapters/ada/x/quarantine").await.json().get("quarantine"), None);
    assert_eq!(anyone.get(&manifest).await.body, sample.manifest_bytes());
    let page: SearchPage = anyone.get("search?q=sentiment").await.expect_ok();
    assert_eq!(page.total, 1);
}

#[tokio::test]
async fn a_private_adapter_in_quarantine_still_does_not_exist_for_strangers() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish_private(&sample).await;
    admin::quarantine(hub.app(), &"ada/x".parse().expect("a name"), Some("a look")).await.expect("enters");
    for path in
        ["index/ada/x".to_owned(), format!("manifests/{}", sample.digest()), "adapters/ada/x".to_owned()]
    {
        assert_eq!(eve.get(&path).await.code(), ProblemCode::NotFound, "{path}");
    }
    assert_eq!(ada.get("index/ada/x").await.code(), ProblemCode::Quarantined);
}

/// The warnings that `who` got when an adapter of theirs began to be seen by everyone.
fn warned(answer: &Answer) -> Vec<String> {
    serde_json::from_value(answer.json().get("warnings").cloned().unwrap_or(json!([]))).expect("warnings")
}

#[tokio::test]
async fn the_first_publish_under_a_name_like_a_popular_one_warns_and_is_recorded() {
    let hub = TestHub::start().await;
    let (google, squatter, root) =
        (hub.user("google").await, hub.user("googel").await, hub.user("root").await);
    hub.make_administrator("root").await;
    let first = google.publish(&SampleAdapter::lora("google/x", "1.0.0")).await;
    assert!(first.warnings.is_empty(), "nobody was there before");
    let warned: Published = squatter.publish(&SampleAdapter::lora("googel/x", "1.0.0")).await;
    assert_eq!(
        warned.warnings,
        ["the namespace `googel` looks like `google`; people could take one for the other"]
    );
    for (id, version) in [("googel/x", "1.1.0"), ("googel/y", "1.0.0")] {
        let again = squatter.publish(&SampleAdapter::lora(id, version)).await;
        assert!(again.warnings.is_empty(), "{id} {version}: once is enough");
    }
    let page: AuditPage = root.get("audit?actor=googel&limit=1000").await.expect_ok();
    let found = page.items.iter().filter(|record| record.action == "name-lookalike");
    let said: Vec<_> = found.map(|record| (record.subject.as_str(), record.detail.as_str())).collect();
    assert_eq!(said, [("googel", "google")]);
}

#[tokio::test]
async fn whatever_everyone_sees_first_of_a_namespace_is_warned_of() {
    let hub = TestHub::start().await;
    let google = hub.user("google").await;
    google.publish(&SampleAdapter::lora("google/x", "1.0.0")).await;
    let open = json!({"visibility": "public"});

    // What only some may see tells nobody that it is there, and warns of nothing.
    let eve = hub.user("goog1e").await;
    let hidden = eve.publish_private(&SampleAdapter::lora("goog1e/hidden", "1.0.0")).await;
    assert!(hidden.warnings.is_empty());
    let other = eve.publish_private(&SampleAdapter::lora("goog1e/other", "1.0.0")).await;
    assert!(other.warnings.is_empty());
    let shown = eve.patch("adapters/goog1e/hidden", &open).await;
    assert_eq!(
        warned(&shown),
        ["the namespace `goog1e` looks like `google`; people could take one for the other"]
    );
    assert!(warned(&eve.patch("adapters/goog1e/hidden", &open).await).is_empty(), "it was public");
    assert!(warned(&eve.patch("adapters/goog1e/other", &open).await).is_empty(), "once is enough");
    assert!(warned(&eve.get("adapters/goog1e/hidden").await).is_empty(), "whoever reads is not warned");

    // The second adapter of a namespace is the first that everyone sees.
    let mallory = hub.user("gooogle").await;
    mallory.publish_private(&SampleAdapter::lora("gooogle/hidden", "1.0.0")).await;
    let second = mallory.publish(&SampleAdapter::lora("gooogle/x", "1.0.0")).await;
    assert_eq!(second.warnings.len(), 1, "{:?}", second.warnings);

    // One that comes from another namespace; people at a terminal read the same.
    let oscar = hub.user("oscar").await;
    oscar.publish(&SampleAdapter::lora("oscar/x", "1.0.0")).await;
    assert_eq!(oscar.post("namespaces", &json!({"name": "go-ogle"})).await.status, 201);
    let home = Home::logged_in(&hub.url(), oscar.token()).await;
    let said = home.hub(&["move", "oscar/x", "go-ogle/x"]).await.expect_code(0);
    assert!(said.stderr.contains("warning: the namespace `go-ogle` looks like `google`"), "{said}");
}

#[tokio::test]
async fn reserved_names_are_not_taken() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    admin::reserve_name(hub.app(), &"acme".parse().expect("a name"), "kept for the company")
        .await
        .expect("keeps");
    let mut said = Vec::new();
    for name in ["acme", "support"] {
        said.push(ada.post("namespaces", &json!({"name": name})).await.problem().detail);
    }
    assert_snapshot!(said.join("\n"), @r"
    the name `acme` is reserved: kept for the company
    the name `support` is reserved: it would speak for the registry
    ");
    admin::release_name(hub.app(), &"acme".parse().expect("a name")).await.expect("lets go");
    assert_eq!(ada.post("namespaces", &json!({"name": "acme"})).await.status, 201);
}

#[tokio::test]
async fn the_operators_verbs_for_names_and_quarantine() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start(data.path());
    let ada = server.visitor(&token);
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    let admin = |verb: &[&str]| Said::new(&HubProcess::admin(data.path(), verb));
    admin(&["adapter", "quarantine", "ada/x", "--reason", "a look"]).expect_code(0);
    assert_eq!(ada.get("index/ada/x").await.problem().detail, "`ada/x` is in quarantine: a look");
    admin(&["adapter", "release", "ada/x"]).expect_code(0);
    assert_eq!(ada.get("index/ada/x").await.status, 200);
    admin(&["name", "reserve", "acme", "--reason", "ours"]).expect_code(0);
    assert_eq!(admin(&["name", "list"]).stdout, "acme\tours\n");
    admin(&["name", "release", "acme"]).expect_code(0);
    admin(&["namespace", "quota", "ada", "--max-adapters", "1"]).expect_code(0);
    assert_eq!(ada.get("namespaces/ada").await.json()["usage"]["max_adapters"], 1);
    let errors = [admin(&["name", "release", "acme"]), admin(&["adapter", "release", "ada/none"])];
    assert_snapshot!(errors.map(|said| said.stderr).concat(), @r"
    error: the name `acme` is not reserved by an operator; `hub-server name list` shows those that are
    error: there is no adapter `ada/none`
    ");
}
