//! Versions are deleted by rule, and never come back.

use hub_schemas::{api::SearchPage, digest::Digest, manifest::Dependency, problem::ProblemCode};
use hub_tests::hub::{SampleAdapter, TestHub};
use serde_json::json;

fn needing(name: &str, dependency: &str, requirement: &str) -> SampleAdapter {
    let dependency = Dependency {
        name: dependency.parse().expect("a name"),
        version: requirement.parse().expect("a requirement"),
        extra: serde_json::Map::new(),
    };
    SampleAdapter::lora(name, "1.0.0").with(|m| m.dependencies = vec![dependency])
}

#[tokio::test]
async fn a_deleted_version_is_gone_with_its_files_and_its_number_never_comes_back() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let first = SampleAdapter::lora("ada/x", "1.0.0");
    let second = SampleAdapter::lora("ada/x", "1.1.0").with_file("README.md", b"# Wrong\n");
    ada.publish(&first).await;
    ada.publish(&second).await;
    ada.get(&format!("manifests/{}?purpose=pull", second.digest())).await;
    hub.flush_pulls().await;
    let path = "adapters/ada/x/versions/1.1.0?reason=leaks+a+name";
    assert_eq!(ada.delete(path).await.status, 204);
    assert_eq!(ada.delete(path).await.status, 404);

    assert_eq!(ada.get(&format!("manifests/{}", second.digest())).await.status, 404);
    let readme = format!("adapters/ada/x/blobs/{}", Digest::of(b"# Wrong\n"));
    assert_eq!(ada.get(&readme).await.status, 404);
    let info = ada.get("adapters/ada/x").await.json();
    assert_eq!(info["latest"]["version"], "1.0.0");
    assert_eq!(info["deleted"][0]["version"], "1.1.0");
    assert_eq!(info["deleted"][0]["reason"], "leaks a name");
    let again = ada.try_publish(&second).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, ProblemCode::Conflict));
    assert_eq!(
        again.problem().detail,
        "`ada/x@1.1.0` was deleted, or moved to another name; its number never comes back"
    );
    // What the other version lists too stays.
    hub.collect_garbage().await;
    let weights = format!("adapters/ada/x/blobs/{}", Digest::of(first.file("adapter_model.safetensors")));
    assert_eq!(ada.get(&weights).await.status, 200);
    assert!(ada.publish(&SampleAdapter::lora("ada/x", "1.2.0")).await.created);
}

#[tokio::test]
async fn an_adapter_whose_only_version_was_deleted_is_found_no_more_and_can_go_on() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    assert_eq!(ada.delete("adapters/ada/x/versions/1.0.0?reason=mistake").await.status, 204);
    let page: SearchPage = ada.get("search?q=sentiment").await.expect_ok();
    assert_eq!(page.total, 0);
    assert_eq!(ada.get("index/ada/x").await.json()["versions"], json!([]));
    assert!(ada.publish(&SampleAdapter::lora("ada/x", "1.0.1")).await.created);
}

#[tokio::test]
async fn what_another_adapter_needs_is_not_deleted() {
    let hub = TestHub::start().await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    grace.publish_private(&needing("grace/hidden", "ada/x", "^1")).await;
    let path = "adapters/ada/x/versions/1.0.0?reason=mistake";
    let refused = ada.delete(path).await;
    assert_eq!(refused.code(), ProblemCode::Conflict);
    assert_eq!(
        refused.problem().detail,
        "an adapter that you may not see needs `1.0.0`, and no other version would do"
    );
    grace.publish(&needing("grace/open", "ada/x", "=1.0.0")).await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.1.0")).await;
    assert_eq!(
        ada.delete(path).await.problem().detail,
        "`grace/open` needs `1.0.0`, and no other version would do"
    );
    assert_eq!(grace.delete("adapters/grace/open/versions/1.0.0?reason=done").await.status, 204);
    assert_eq!(ada.delete(path).await.status, 204, "`^1` is served by 1.1.0");
}

#[tokio::test]
async fn deleting_needs_a_reason_in_one_line() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0")).await;
    assert_eq!(ada.delete("adapters/ada/x/versions/1.0.0").await.status, 400);
    assert_eq!(ada.delete("adapters/ada/x/versions/1.0.0?reason=a%0Ab").await.status, 422);
    assert_eq!(ada.get("index/ada/x").await.json()["versions"][0]["version"], "1.0.0");
}
