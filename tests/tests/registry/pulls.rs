//! Pulls are counted by version and day, also through a crash.

use std::collections::BTreeMap;

use hub_schemas::api::PullHistory;
use hub_tests::hub::{HubProcess, SampleAdapter, TestHub, Visitor};

async fn pull(who: &Visitor, sample: &SampleAdapter, times: usize) {
    for _ in 0..times {
        assert_eq!(who.get(&format!("manifests/{}?purpose=pull", sample.digest())).await.status, 200);
    }
}

async fn history(who: &Visitor) -> Vec<(String, u64)> {
    let history: PullHistory = who.get("adapters/ada/x/pulls").await.expect_ok();
    // A test that runs over midnight counts on two days.
    let mut sums = BTreeMap::new();
    for day in history.days {
        assert_eq!(day.day.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{}", day.day);
        *sums.entry(day.version.to_string()).or_default() += day.pulls;
    }
    sums.into_iter().collect()
}

#[tokio::test]
async fn pulls_are_counted_by_version_and_day() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let (first, second) = (SampleAdapter::lora("ada/x", "1.0.0"), SampleAdapter::lora("ada/x", "1.1.0"));
    ada.publish(&first).await;
    ada.publish(&second).await;
    pull(&hub.anonymous(), &first, 2).await;
    pull(&ada, &second, 1).await;
    ada.get(&format!("manifests/{}", first.digest())).await;
    hub.flush_pulls().await;
    pull(&ada, &first, 1).await;
    hub.flush_pulls().await;
    assert_eq!(history(&hub.anonymous()).await, [("1.0.0".to_owned(), 3), ("1.1.0".to_owned(), 1)]);
    let info = ada.get("adapters/ada/x").await.json();
    assert_eq!(info["latest"]["pulls"], 4);
    assert_eq!(ada.get("adapters/ada/x/pulls?days=0").await.status, 400);
    assert_eq!(ada.get("adapters/ada/nothing/pulls").await.status, 404);
}

#[tokio::test]
async fn pulls_that_a_killed_server_had_not_written_down_are_counted_by_the_next() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start(data.path());
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    server.visitor(&token).publish(&sample).await;
    pull(&server.visitor(&token), &sample, 5).await;
    server.kill();
    let server = HubProcess::start(data.path());
    assert_eq!(history(&server.visitor(&token)).await, [("1.0.0".to_owned(), 5)]);
    pull(&server.visitor(&token), &sample, 1).await;
    server.terminate();
    let server = HubProcess::start(data.path());
    assert_eq!(history(&server.visitor(&token)).await, [("1.0.0".to_owned(), 6)]);
    let left = std::fs::read_dir(data.path().join("pulls")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "no journal stays");
}
