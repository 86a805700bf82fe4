//! Yanking: not chosen any more, but there for whoever names the version exactly.

use hub_schemas::{api::SearchPage, problem::ProblemCode};
use hub_tests::hub::{SampleAdapter, TestHub};
use insta::assert_json_snapshot;
use serde_json::json;

#[tokio::test]
async fn a_yanked_version_is_marked_with_its_reason_and_still_readable() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.publish(&sample).await;
    let path = "adapters/ada/sentiment/versions/1.0.0";
    let yanked = ada.patch(path, &json!({"yanked": true, "reason": "labels are swapped"})).await;
    assert_eq!(yanked.status, 200);
    assert_json_snapshot!(
        yanked.json()["yanked"], {".at" => "[time]"},
        @r#"
    {
      "at": "[time]",
      "reason": "labels are swapped"
    }
    "#
    );
    assert_eq!(hub.anonymous().get(&format!("manifests/{}", sample.digest())).await.status, 200);

    let back = ada.patch(path, &json!({"yanked": false})).await;
    assert_eq!(back.status, 200);
    assert!(back.json().get("yanked").is_none());
}

#[tokio::test]
async fn a_listing_falls_back_to_the_newest_version_that_is_not_yanked() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for version in ["1.0.0", "2.0.0"] {
        ada.publish(&SampleAdapter::lora("ada/sentiment", version)).await;
    }
    let yank = json!({"yanked": true});
    let latest = async || ada.get("adapters/ada/sentiment").await.json()["latest"]["version"].clone();
    ada.patch("adapters/ada/sentiment/versions/2.0.0", &yank).await;
    assert_eq!(latest().await, "1.0.0");
    ada.patch("adapters/ada/sentiment/versions/1.0.0", &yank).await;
    let info = ada.get("adapters/ada/sentiment").await.json();
    assert!(info.get("latest").is_none(), "the page stays, without a latest version");
    let found: SearchPage = ada.get("search?q=sentiment").await.expect_ok();
    assert_eq!(found.total, 0);
    assert_eq!(ada.get("resolve?word=sentiment").await.json()["candidates"], json!([]));
    ada.patch("adapters/ada/sentiment/versions/1.0.0", &json!({"yanked": false})).await;
    assert_eq!(latest().await, "1.0.0");
}

#[tokio::test]
async fn only_members_with_the_scope_yank_and_only_what_is_there() {
    let hub = TestHub::start().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let yank = json!({"yanked": true, "reason": "because"});
    let path = "adapters/ada/sentiment/versions/1.0.0";
    assert_eq!(hub.anonymous().patch(path, &yank).await.code(), ProblemCode::Unauthorized);
    assert_eq!(eve.patch(path, &yank).await.code(), ProblemCode::Forbidden);
    let absent = ada.patch("adapters/ada/sentiment/versions/9.0.0", &yank).await;
    assert_eq!(absent.problem().detail, "`ada/sentiment` has no version `9.0.0`");
    let reason = json!({"yanked": true, "reason": "\u{1b}[2J"});
    assert_eq!(ada.patch(path, &reason).await.code(), ProblemCode::InvalidValue);
}
