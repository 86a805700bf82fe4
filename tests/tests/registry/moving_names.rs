//! Adapters get other names, and old names lead to them; deleted adapters keep theirs.

use hub_schemas::{
    api::{IndexDocument, Role, SearchPage},
    digest::Digest,
    manifest::Dependency,
    problem::ProblemCode,
};
use hub_tests::hub::{Answer, SampleAdapter, TestHub, Visitor};
use serde_json::{Value, json};

async fn move_to(who: &Visitor, from: &str, to: &str) -> Answer {
    who.post(&format!("adapters/{from}/move"), &json!({"to": to})).await
}

/// A visitor that follows nothing, to see where it is led.
async fn led(hub: &TestHub, path: &str) -> (u16, Value, Option<String>) {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let answer = client.build().expect("a client").get(format!("{}/api/v1/{path}", hub.url()));
    let answer = answer.send().await.expect("an answer");
    let location = answer.headers().get("location").map(|l| l.to_str().expect("text").to_owned());
    (answer.status().as_u16(), answer.json().await.expect("a problem"), location)
}

fn needing(name: &str, dependency: &str) -> SampleAdapter {
    let dependency = Dependency {
        name: dependency.parse().expect("a name"),
        version: "^1".parse().expect("a requirement"),
        extra: serde_json::Map::new(),
    };
    SampleAdapter::lora(name, "1.0.0").with(|m| m.dependencies = vec![dependency])
}

#[tokio::test]
async fn an_old_name_leads_to_the_new_one_and_versions_keep_their_digests() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    let moved = move_to(&ada, "ada/x", "ada/tone").await;
    assert_eq!((moved.status.as_u16(), &moved.json()["name"]), (200, &json!("ada/tone")));
    assert_eq!(moved.json()["former_names"], json!(["ada/x"]));

    let (status, problem, location) = led(&hub, "index/ada/x").await;
    assert_eq!((status, location.as_deref()), (307, Some("../ada/tone")));
    assert_eq!(
        (&problem["code"], &problem["detail"]),
        (&json!("moved"), &json!("`ada/x` is called `ada/tone` now"))
    );
    // Clients follow.
    let anonymous = hub.anonymous();
    let index: IndexDocument = anonymous.get("index/ada/x").await.expect_ok();
    assert_eq!(index.name.to_string(), "ada/tone");
    assert_eq!(index.versions[0].published_as.as_ref().map(ToString::to_string).as_deref(), Some("ada/x"));
    assert_eq!(index.versions[0].digest, sample.digest());
    let manifest = anonymous.get(&format!("manifests/{}", sample.digest())).await;
    assert_eq!(manifest.body, sample.manifest_bytes());
    let weights = Digest::of(sample.file("adapter_model.safetensors"));
    assert_eq!(anonymous.get(&format!("adapters/ada/x/blobs/{weights}")).await.status, 200);
    assert_eq!(anonymous.get("adapters/ada/x/pulls?days=2").await.json()["name"], "ada/tone");
    // What would change something is not led on.
    let refused = ada.patch("adapters/ada/x", &json!({"visibility": "private"})).await;
    assert_eq!(
        (refused.code(), refused.problem().hint.as_deref()),
        (ProblemCode::Conflict, Some("use `ada/tone`"))
    );

    let page: SearchPage = anonymous.get("search?q=tone").await.expect_ok();
    assert_eq!(page.items[0].published_as.as_ref().map(ToString::to_string).as_deref(), Some("ada/x"));
    let gone: SearchPage = anonymous.get("search?q=x").await.expect_ok();
    assert_eq!(gone.total, 0);
    assert!(ada.publish(&SampleAdapter::lora("ada/tone", "1.1.0")).await.created);
    assert_eq!(
        ada.put_manifest(&SampleAdapter::lora("ada/tone", "1.0.0")).await.code(),
        ProblemCode::VersionExists
    );
}

#[tokio::test]
async fn nobody_takes_an_old_name_until_an_owner_frees_it_and_numbers_never_come_back() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    hub.add_namespace("lab", "ada").await;
    hub.add_member("lab", "grace", Role::Maintainer).await;
    grace.publish(&SampleAdapter::lora("lab/x", "1.0.0")).await;
    grace.publish(&SampleAdapter::lora("lab/z", "1.0.0").with_file("README.md", b"# Z\n")).await;
    assert_eq!(
        move_to(&grace, "lab/x", "lab/y").await.problem().detail,
        "`grace` is maintainer of `lab/x`; this needs the role `owner`"
    );
    assert_eq!(move_to(&ada, "lab/x", "lab/y").await.status, 200);
    for answer in [
        grace.start_upload("lab/x", Digest::of(b"other"), 5).await,
        grace.put_manifest(&SampleAdapter::biases("lab/x", "2.0.0")).await,
    ] {
        assert_eq!(answer.code(), ProblemCode::Conflict);
        assert_eq!(answer.problem().detail, "`lab/x` is called `lab/y` now, and its old name leads there");
    }
    assert_eq!(move_to(&ada, "lab/z", "lab/x").await.code(), ProblemCode::Conflict);
    assert_eq!(grace.delete("adapters/lab/x/kept-name").await.status, 403);
    assert_eq!(ada.delete("adapters/lab/x/kept-name").await.status, 204);
    assert_eq!(ada.delete("adapters/lab/x/kept-name").await.status, 404);
    assert_eq!(grace.get("index/lab/x").await.status, 404);
    // `lab/x@1.0.0` is in caches: no other content may be called so.
    assert_eq!(move_to(&ada, "lab/z", "lab/x").await.code(), ProblemCode::Conflict);
    assert_eq!(
        grace.try_publish(&SampleAdapter::biases("lab/x", "1.0.0")).await.code(),
        ProblemCode::Conflict
    );
    assert!(grace.publish(&SampleAdapter::biases("lab/x", "2.0.0")).await.created);
    assert_eq!(grace.get("index/lab/y").await.json()["versions"][0]["version"], "1.0.0");
}

#[tokio::test]
async fn an_adapter_goes_back_to_a_name_that_it_had() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    for (from, to) in [("ada/x", "ada/y"), ("ada/y", "ada/z"), ("ada/z", "ada/x")] {
        assert_eq!(move_to(&ada, from, to).await.status, 200, "{from} {to}");
    }
    let info = ada.get("adapters/ada/y").await.json();
    assert_eq!((&info["name"], &info["former_names"]), (&json!("ada/x"), &json!(["ada/y", "ada/z"])));
    assert_eq!(info["versions"][0].get("published_as"), None);
    assert_eq!(move_to(&ada, "ada/x", "ada/x").await.status, 422);
}

#[tokio::test]
async fn an_adapter_moves_where_its_owner_may_publish_and_there_is_room() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    hub.add_namespace("lab", "grace").await;
    ada.publish_private(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    assert_eq!(
        move_to(&ada, "ada/x", "lab/x").await.problem().detail,
        "`ada` is not a member of the namespace `lab`"
    );
    hub.add_member("lab", "ada", Role::Reader).await;
    assert_eq!(move_to(&ada, "ada/x", "lab/x").await.status, 403);
    hub.add_member("lab", "ada", Role::Writer).await;
    assert_eq!(grace.get("adapters/ada/x").await.status, 404);
    assert_eq!(move_to(&ada, "ada/x", "lab/x").await.status, 200);
    assert_eq!(grace.get("adapters/ada/x").await.json()["name"], "lab/x");
    // To whoever may not see it, its old name is no name.
    let eve = hub.user("eve").await;
    let (old, absent) = (eve.get("index/ada/x").await.problem(), eve.get("index/ada/absent").await.problem());
    assert_eq!(old.detail.replace("ada/x", "ada/absent"), absent.detail);
    assert_eq!((old.code, old.hint), (absent.code, absent.hint));
    // The new namespace decides from now on.
    assert_eq!(move_to(&ada, "lab/x", "ada/x").await.status, 403);
}

#[tokio::test]
async fn who_needs_an_adapter_by_its_old_name_keeps_it_and_new_ones_may_name_either() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    ada.publish(&needing("ada/before", "ada/x")).await;
    move_to(&ada, "ada/x", "ada/y").await;
    assert!(ada.publish(&needing("ada/after", "ada/x")).await.created);
    assert_eq!(
        ada.delete("adapters/ada/y/versions/1.0.0?reason=mistake").await.problem().detail,
        "`ada/after` needs `1.0.0`, and no other version would do"
    );
    let whole = ada.delete("adapters/ada/y?reason=mistake").await.problem();
    assert_eq!(whole.detail, "`ada/after` needs `1.0.0`");
}

#[tokio::test]
async fn a_deleted_adapter_is_gone_with_all_versions_and_its_name_is_kept() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    let first = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&first).await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.1.0").with_file("README.md", b"# Two\n")).await;
    ada.publish_private(&SampleAdapter::biases("ada/hidden", "1.0.0")).await;
    ada.put_json("adapters/ada/x/collaborators/grace", &json!({"role": "maintainer"})).await;
    assert_eq!(grace.delete("adapters/ada/x?reason=mine").await.status, 403);
    assert_eq!(ada.delete("adapters/ada/x?reason=names+a+person").await.status, 204);
    assert_eq!(ada.delete("adapters/ada/hidden?reason=done").await.status, 204);
    for path in ["index/ada/x", "adapters/ada/x", "adapters/ada/x/pulls"] {
        let gone = hub.anonymous().get(path).await;
        assert_eq!(gone.code(), ProblemCode::Gone, "{path}");
        assert!(gone.problem().detail.ends_with(": names a person"), "{gone:?}");
    }
    assert_eq!(ada.get(&format!("manifests/{}", first.digest())).await.status, 404);
    assert_eq!(hub.anonymous().get("index/ada/hidden").await.code(), ProblemCode::NotFound);
    let page: SearchPage = ada.get("search?q=sentiment").await.expect_ok();
    assert_eq!(page.total, 0);
    assert_eq!(ada.get("namespaces/ada").await.json()["usage"]["adapters"], 0);
    hub.collect_garbage().await;

    let again = ada.put_manifest(&SampleAdapter::lora("ada/x", "2.0.0")).await;
    assert_eq!(again.problem().detail, "`ada/x` was deleted, and its name is kept");
    assert_eq!(ada.delete("adapters/ada/x/kept-name").await.status, 204);
    assert_eq!(ada.try_publish(&first).await.code(), ProblemCode::Conflict);
    assert!(ada.publish(&SampleAdapter::lora("ada/x", "2.0.0")).await.created);
    let info = ada.get("adapters/ada/x").await.json();
    assert_eq!(info["deleted"].as_array().map(Vec::len), Some(2));
    assert_eq!(grace.patch("adapters/ada/x", &json!({"visibility": "private"})).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_two_want_at_once_is_given_to_one() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for i in 0..5 {
        let (one, two) = (format!("ada/one-{i}"), format!("ada/two-{i}"));
        ada.publish(&SampleAdapter::lora(&one, "1.0.0")).await;
        ada.publish(&SampleAdapter::lora(&two, "1.0.0")).await;
        let to = format!("ada/both-{i}");
        let (first, second) = tokio::join!(move_to(&ada, &one, &to), move_to(&ada, &two, &to));
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
}
