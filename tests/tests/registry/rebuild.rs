//! The database is lost; the storage is not.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use hub_schemas::digest::Digest;
use hub_tests::hub::{HubProcess, SampleAdapter, Visitor, flags};
use serde_json::{Value, json};

/// Longer than a queue takes on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What an index says of every version, times apart.
async fn versions(visitor: &Visitor, name: &str) -> Vec<Value> {
    let index = visitor.get(&format!("index/{name}")).await.json();
    let entries = index["versions"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| json!([entry["version"], entry["digest"], entry["size"], entry["base"]]))
        .collect()
}

/// Waits until so many manifests were copied into the storage.
async fn copied(visitor: &Visitor, count: u64) {
    let began = Instant::now();
    loop {
        let metrics = visitor.get("/metrics").await;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let done = text
            .lines()
            .find(|l| l.starts_with("hub_jobs_total") && l.contains("keep-manifest") && l.contains("done"));
        let done = done.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0_u64);
        if done >= count {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{done} of {count} manifests are in the storage");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The flags of the first run, with a database of its own for the second.
async fn two_databases() -> (Vec<String>, Vec<String>) {
    let (first, other) = (flags().await, flags().await);
    let is_database = |flag: &&String| flag.starts_with("--database-url");
    let storage = first.iter().filter(|flag| !is_database(flag)).cloned();
    let second = storage.chain(other.iter().filter(is_database).cloned()).collect();
    (first, second)
}

fn texts(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Whoever lost the database has the files; those of an embedded registry lie beside it.
fn move_files(from: &Path, to: &Path) {
    let files = from.join("files");
    if files.is_dir() {
        fs::rename(files, to.join("files")).expect("moves");
    }
}

#[tokio::test]
async fn names_and_versions_come_back_from_the_storage_alone() {
    let (lost, found) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (first, second) = two_databases().await;
    let token = HubProcess::token_with(lost.path(), &texts(&first), "ada");
    let server = HubProcess::start_with(lost.path(), &texts(&first));
    let ada = server.visitor(&token);
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    ada.publish(&sample).await;
    ada.publish(&SampleAdapter::lora("ada/x", "1.1.0").with_file("notes.txt", b"new")).await;
    ada.publish(&SampleAdapter::bottleneck("ada/y", "1.0.0")).await;
    copied(&ada, 3).await;
    let before = versions(&ada, "ada/x").await;
    server.terminate();

    move_files(lost.path(), found.path());
    let rebuild = [&["rebuild", "--owner", "root", "--user", "ada"][..], &texts(&second)].concat();
    let output = HubProcess::admin(found.path(), &rebuild);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is lost");
    let again = HubProcess::admin(found.path(), &rebuild);
    assert!(String::from_utf8_lossy(&again.stderr).contains("the database is not empty"));

    let token = HubProcess::admin(
        found.path(),
        &[&["token", "create", "--user", "ada"][..], &texts(&second)].concat(),
    );
    let token = String::from_utf8(token.stdout).expect("text").trim().to_owned();
    let server = HubProcess::start_with(found.path(), &texts(&second));
    let ada = server.visitor(&token);
    assert_eq!(versions(&ada, "ada/x").await, before);
    let blob =
        ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(sample.file("adapter_config.json")))).await;
    assert_eq!(blob.body, sample.file("adapter_config.json"));
    assert_eq!(ada.get("search?q=sentiment").await.json()["total"], 2);
    // Who may see what is in no manifest: until somebody says otherwise, nobody else does.
    let anyone = Visitor::new(server.url(), None);
    assert_eq!(anyone.get("index/ada/x").await.status, 404);
    assert!(ada.publish(&SampleAdapter::lora("ada/x", "2.0.0")).await.created);
}

#[tokio::test]
async fn what_was_deleted_or_is_damaged_does_not_come_back() {
    let (lost, found) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let token = HubProcess::owner_token(lost.path(), &[], "ada");
    let server = HubProcess::start(lost.path());
    let ada = server.visitor(&token);
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let notes = format!("notes of {version}");
        ada.publish(&SampleAdapter::lora("ada/x", version).with_file("notes.txt", notes.as_bytes())).await;
    }
    copied(&ada, 3).await;
    let deleted = ada.delete("adapters/ada/x/versions/1.0.0?reason=mistake").await;
    assert_eq!(deleted.status, 204, "{}", String::from_utf8_lossy(&deleted.body));
    let manifests = lost.path().join("files/manifests/sha256");
    let began = Instant::now();
    while files(&manifests).len() > 2 {
        assert!(began.elapsed() < PATIENCE, "the manifest of a deleted version is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.terminate();

    move_files(lost.path(), found.path());
    let damaged = Digest::of(b"notes of 1.1.0").hex();
    let blob = files(&found.path().join("files/blobs/sha256"));
    let blob = blob.iter().find(|path| path.to_string_lossy().contains(&damaged)).expect("the file");
    fs::write(blob, b"notes of 1.1.1").expect("damages");
    let output = HubProcess::admin(found.path(), &["rebuild", "--owner", "ada"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).replace(&damaged, "[digest]");
    assert_eq!(told, "ada/x@1.1.0\tits file `notes.txt` (sha256:[digest]) is damaged\n");
    let token = HubProcess::admin(found.path(), &["token", "create", "--user", "ada"]);
    let server = HubProcess::start(found.path());
    let ada = server.visitor(String::from_utf8(token.stdout).expect("text").trim());
    let there: Vec<Value> = versions(&ada, "ada/x").await.into_iter().map(|v| v[0].clone()).collect();
    assert_eq!(there, ["1.2.0"]);
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).into_iter().flatten().flatten() {
        if item.path().is_dir() { found.extend(files(&item.path())) } else { found.push(item.path()) }
    }
    found
}
