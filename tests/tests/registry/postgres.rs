//! What must hold on PostgreSQL in every run of the tests; the whole suite runs on it
//! with `HUB_TEST_DATABASE=postgres`.

use hub_schemas::api::{Resolution, Role, SearchPage};
use hub_server::{App, config::Config};
use hub_tests::{
    hub::{SampleAdapter, TestHub, migrated},
    services::postgres::Postgres,
};
use serde_json::json;

/// A registry on a database of its own.
async fn on_postgres() -> TestHub {
    let url = migrated().await;
    TestHub::start_with(|config| config.database_url = Some(url)).await
}

#[tokio::test]
async fn migrating_twice_is_fine_and_an_old_schema_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(folder.path());
    config.database_url = Some(Postgres::shared().database(None));
    let refused = App::open(&config).await.expect_err("not migrated").to_string();
    assert!(refused.contains("hub-server migrate"), "{refused}");
    App::migrate(&config).await.expect("migrates");
    App::migrate(&config).await.expect("migrates");
    App::open(&config).await.expect("opens");
}

#[tokio::test]
async fn the_whole_life_of_an_adapter_on_postgresql() {
    let hub = on_postgres().await;
    let (ada, eve) = (hub.user("ada").await, hub.user("eve").await);
    hub.add_namespace("lab", "ada").await;
    hub.add_member("lab", "eve", Role::Writer).await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0").with_metric("accuracy", 0.9);
    assert!(ada.publish(&sample).await.created);
    assert!(!ada.publish(&sample).await.created);
    let other = sample.clone().with_file("README.md", b"# Other\n");
    assert_eq!(ada.try_publish(&other).await.status, 409);
    eve.publish_private(&SampleAdapter::bottleneck("lab/hidden", "1.0.0-rc.1")).await;

    let anyone = hub.anonymous();
    anyone.get(&format!("manifests/{}?purpose=pull", sample.digest())).await;
    hub.flush_pulls().await;
    let page: SearchPage =
        anyone.get("search?q=sentiment+mov&language=en&license=apache-2.0").await.expect_ok();
    assert_eq!((page.total, page.items[0].pulls), (1, 1));
    let page: SearchPage = ada.get("search?limit=1").await.expect_ok();
    assert_eq!((page.total, page.items.len(), page.next.is_some()), (2, 1, true));
    for q in ["'", "\"", "a & | !b", ":*", "\\", "!!!"] {
        let answer = anyone.request(reqwest::Method::GET, "search").query(&[("q", q)]).send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "{q:?}");
    }
    let resolution: Resolution = anyone.get("resolve?word=sentiment").await.expect_ok();
    assert_eq!(resolution.candidates.len(), 1);
    assert_eq!(anyone.get("adapters/lab/hidden").await.status, 404);
    assert_eq!(ada.get("adapters/lab/hidden").await.status, 200);

    let yank = json!({"yanked": true, "reason": "wrong labels"});
    let yanked = ada.patch("adapters/ada/sentiment/versions/1.0.0", &yank).await;
    assert_eq!(yanked.json()["yanked"]["reason"], "wrong labels");
    let info = anyone.get("adapters/ada/sentiment").await.json();
    assert!(info.get("latest").is_none());
    let shown = ada.patch("adapters/lab/hidden", &json!({"visibility": "public"})).await;
    assert_eq!(shown.json()["visibility"], "public");
    assert_eq!(anyone.get("index/lab/hidden").await.status, 200);
    drop(hub.restart().await);
}
