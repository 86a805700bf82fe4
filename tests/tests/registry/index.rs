//! The index: small, cacheable, revalidated.

use hub_tests::hub::{SampleAdapter, TestHub};
use insta::assert_json_snapshot;
use serde_json::json;

#[tokio::test]
async fn the_index_is_revalidated_by_its_etag_and_changes_with_a_yank() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let anyone = hub.anonymous();
    let first = anyone.get("index/ada/sentiment").await;
    assert_eq!(first.header("cache-control"), "public, max-age=60");
    assert_eq!(first.header("vary"), "authorization");
    let etag = first.header("etag").to_owned();

    let again = anyone.get_with("index/ada/sentiment", "if-none-match", &etag).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), etag);

    ada.patch("adapters/ada/sentiment/versions/1.0.0", &json!({"yanked": true})).await;
    let changed = anyone.get_with("index/ada/sentiment", "if-none-match", &etag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), etag);
}

#[tokio::test]
async fn the_index_has_all_that_choosing_needs() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    ada.publish(&SampleAdapter::bottleneck("ada/sentiment", "1.1.0")).await;
    assert_json_snapshot!(
        hub.anonymous().get("index/ada/sentiment").await.json(),
        {".versions[].published_at" => "[time]"}
    );
}

#[tokio::test]
async fn pulls_are_counted_without_a_write_per_pull() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.publish(&sample).await;
    let manifest = format!("manifests/{}", sample.digest());
    let anyone = hub.anonymous();
    anyone.get(&manifest).await;
    for _ in 0..3 {
        anyone.get(&format!("{manifest}?purpose=pull")).await;
    }
    // Stopping writes down what is in memory.
    let hub = hub.restart().await;
    let info = hub.anonymous().get("adapters/ada/sentiment").await.json();
    assert_eq!(info["latest"]["pulls"], 3, "reading is not pulling");
}
