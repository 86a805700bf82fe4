//! Garbage is collected while everything else goes on.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use hub_schemas::{api::UploadStatus, digest::Digest};
use hub_tests::{
    cli::Said,
    hub::{HubProcess, SampleAdapter, TestHub, Visitor},
};

const PUBLISHERS: usize = 6;
const ROUNDS: usize = 8;

/// Few contents, so that publishers keep sharing, dropping and bringing back the same files.
fn content(i: usize) -> Vec<u8> {
    format!("# Content {}\n", i % 3).into_bytes()
}

#[tokio::test]
async fn what_nothing_refers_to_is_removed_and_nothing_else() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    let dropped = ada.upload("ada/x", b"dropped").await;
    hub.collect_garbage().await;
    assert!(ada.upload("ada/x", b"dropped").await.complete, "a finished upload is somebody's");
    assert_eq!(ada.delete(&format!("uploads/{}", dropped.id)).await.status, 204);
    hub.collect_garbage().await;
    let again: UploadStatus = ada.start_upload("ada/x", Digest::of(b"dropped"), 7).await.expect_ok();
    assert!(!again.complete && again.received == 0);
    all_is_there(&ada, &sample).await;
}

#[tokio::test]
async fn a_dry_run_names_what_it_would_remove_and_removes_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let gc = |flags: &[&str]| {
        let verb = [&["gc", "--older-than=0"], flags].concat();
        Said::new(&HubProcess::admin(data.path(), &verb)).expect_code(0).stdout
    };
    let server = HubProcess::start_with(data.path(), &["--run-jobs=false"]);
    let ada = server.visitor(&token);
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    let dropped = ada.upload("ada/x", b"dropped").await;
    assert_eq!(ada.delete(&format!("uploads/{}", dropped.id)).await.status, 204);
    server.kill();
    // What a killed server leaves: an object that no row knows.
    let unknown = data.path().join("files/uploads/lost/00000000000000000000-x");
    std::fs::create_dir_all(unknown.parent().expect("a folder")).expect("makes a folder");
    std::fs::write(&unknown, b"lost").expect("writes");

    let files = || files_of(&data.path().join("files"));
    let before = files();
    let named = gc(&["--dry-run"]);
    let blob = format!("{}\t7 bytes\n", Digest::of(b"dropped"));
    assert!(named.starts_with(&blob) && named.contains("lost") && named.lines().count() == 2, "{named}");
    assert_eq!(files(), before);
    assert_eq!(gc(&["--dry-run"]), named, "the database is as it was, too");

    assert_eq!(gc(&[]), named, "and that is what is removed");
    assert_eq!(files().len(), before.len() - 2);
    assert_eq!(gc(&["--dry-run"]), "");
    let server = HubProcess::start(data.path());
    all_is_there(&server.visitor(&token), &sample).await;
}

/// Every file below a folder.
fn files_of(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_of(&path) } else { BTreeSet::from([path]) }).collect()
}

#[tokio::test]
async fn nothing_is_lost_while_publishers_drop_and_bring_back_the_same_files() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let publishers = (0..PUBLISHERS).map(|who| {
        let ada = ada.clone();
        tokio::spawn(async move { publish_and_drop(&ada, who).await })
    });
    let publishers = futures_util::future::join_all(publishers.collect::<Vec<_>>());
    let mut publishers = std::pin::pin!(publishers);
    let published = loop {
        tokio::select! {
            published = &mut publishers => break published,
            () = hub.collect_garbage() => {}
        }
    };
    hub.collect_garbage().await;
    for sample in published.into_iter().flat_map(|all| all.expect("no panic")) {
        all_is_there(&ada, &sample).await;
    }
}

/// Publishes in every other round, and in the others drops what it has uploaded.
async fn publish_and_drop(ada: &Visitor, who: usize) -> Vec<SampleAdapter> {
    let name = format!("ada/x{who}");
    let mut published = Vec::new();
    for round in 0..ROUNDS {
        let readme = content(who + round);
        let version = format!("1.0.{round}");
        let sample = SampleAdapter::lora(&name, &version).with_file("README.md", &readme);
        if round % 2 == 0 {
            // A file that was there when it was announced may be garbage when the manifest comes.
            while !ada.try_publish(&sample).await.status.is_success() {}
            published.push(sample);
        } else {
            let other = content(who + round + 1);
            let upload = ada.upload(&format!("{name}-dropped"), &other).await;
            ada.delete(&format!("uploads/{}", upload.id)).await;
        }
    }
    published
}

async fn all_is_there(ada: &Visitor, sample: &SampleAdapter) {
    for (path, bytes) in &sample.files {
        let name = &sample.manifest.name;
        let answer = ada.get(&format!("adapters/{name}/blobs/{}", Digest::of(bytes))).await;
        assert!(answer.status.is_success() && answer.body == *bytes, "{name} {path}: {}", answer.status);
    }
}
