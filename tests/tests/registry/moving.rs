//! Moving house: a registry from one database and storage to others, and back.

use std::path::{Path, PathBuf};

use hub_schemas::digest::Digest;
use hub_server::{Location, admin};
use hub_tests::{
    hub::{SampleAdapter, TestHub, Visitor, bucket, migrated},
    services::seaweedfs::SeaweedFs,
};
use serde_json::{Value, json};

async fn embedded() -> TestHub {
    TestHub::start_with(|config| {
        config.database_url = None;
        config.storage = Location::Files;
    })
    .await
}

async fn on_postgres_and_s3() -> TestHub {
    let url = migrated().await;
    TestHub::start_with(|config| {
        config.database_url = Some(url);
        config.storage = bucket(SeaweedFs::shared());
    })
    .await
}

/// What everybody and a member see of it, as they would ask.
async fn view(hub: &TestHub, ada: &Visitor) -> Vec<Value> {
    let mut seen = Vec::new();
    for visitor in [&hub.anonymous(), &ada.at(hub.url())] {
        for path in ["search?q=sentiment", "index/ada/x", "adapters/ada/x", "index/ada/hidden", "whoami"] {
            let mut answer = visitor.get(path).await.json();
            if let Some(fields) = answer.as_object_mut() {
                fields.remove("request_id");
            }
            seen.push(answer);
        }
    }
    seen
}

async fn fill(hub: &TestHub) -> (Visitor, SampleAdapter) {
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/x", "1.0.0").with_metric("accuracy", 0.9);
    ada.publish(&sample).await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.1.0")).await;
    let yank = json!({"yanked": true, "reason": "wrong labels"});
    assert_eq!(ada.patch("adapters/ada/x/versions/1.1.0", &yank).await.status, 200);
    ada.publish_private(&SampleAdapter::bottleneck("ada/hidden", "1.0.0")).await;
    ada.upload("ada/x", b"never published").await;
    (ada, sample)
}

#[tokio::test]
async fn a_registry_moves_to_postgresql_and_s3_and_back_and_looks_the_same() {
    let first = embedded().await;
    let (ada, sample) = fill(&first).await;
    let before = view(&first, &ada).await;
    let folder = tempfile::tempdir().expect("a folder");
    admin::export(first.app(), folder.path()).await.expect("exports");
    let second = on_postgres_and_s3().await;
    admin::import(second.app(), folder.path()).await.expect("imports");
    assert_eq!(view(&second, &ada).await, before);
    let again = tempfile::tempdir().expect("a folder");
    admin::export(second.app(), again.path()).await.expect("exports");
    let third = embedded().await;
    admin::import(third.app(), again.path()).await.expect("imports");
    assert_eq!(view(&third, &ada).await, before);
    for hub in [&second, &third] {
        let ada = ada.at(hub.url());
        for (path, bytes) in &sample.files {
            let answer = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(bytes))).await;
            assert!(answer.body == *bytes, "{path}");
        }
        // It goes on where it was.
        assert!(!ada.publish(&sample).await.created);
        assert!(ada.publish(&SampleAdapter::lora("ada/x", "1.2.0")).await.created);
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_and_nothing_is_imported() {
    let first = TestHub::start().await;
    let (_, sample) = fill(&first).await;
    let folder = tempfile::tempdir().expect("a folder");
    admin::export(first.app(), folder.path()).await.expect("exports");
    let damaged = Digest::of(sample.file("README.md"));
    let path = blob(folder.path(), &damaged);
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let second = TestHub::start().await;
    let refused = admin::import(second.app(), folder.path()).await.expect_err("damaged").to_string();
    assert!(refused.contains(&damaged.to_string()) && refused.contains("damaged"), "{refused}");
    assert_eq!(second.anonymous().get("search").await.json()["total"], 0);
    // A file that is cut off is noticed by the next export, and copied again.
    std::fs::write(&path, b"#").expect("writes");
    admin::export(first.app(), folder.path()).await.expect("exports");
    admin::import(second.app(), folder.path()).await.expect("imports");
    assert_eq!(second.anonymous().get("search").await.json()["total"], 1);
    let refused = admin::import(second.app(), folder.path()).await.expect_err("not empty").to_string();
    assert!(refused.contains("not empty"), "{refused}");
}

#[tokio::test]
async fn a_folder_that_is_no_complete_export_is_refused() {
    let hub = TestHub::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    assert!(admin::import(hub.app(), folder.path()).await.is_err());
    admin::export(hub.app(), folder.path()).await.expect("exports");
    std::fs::remove_file(folder.path().join("tables/namespaces.jsonl")).expect("removes");
    let refused = admin::import(hub.app(), folder.path()).await.expect_err("incomplete").to_string();
    assert!(refused.contains("namespaces.jsonl"), "{refused}");
}

fn blob(folder: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    folder.join("blobs/sha256").join(&hex[..2]).join(hex)
}
