use hub_schemas::{canonical, manifest::Artifact};
use serde_json::json;

use super::*;
use crate::registry::Silent;

fn store() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::new(folder.path(), &"http://127.0.0.1:8080".parse().expect("a URL"));
    (folder, cache)
}

/// A manifest whose files hold their own names.
fn manifest(version: &str, files: &[&str]) -> (Artifact, Vec<u8>) {
    let entries: Vec<_> = files
        .iter()
        .map(|name| {
            let media = if name.ends_with("json") { "application/json" } else { "application/vnd.safetensors" };
            json!({"path": name, "size": name.len(), "digest": Digest::of(name.as_bytes()), "media_type": media})
        })
        .collect();
    let value = json!({
        "manifest_version": "1.0", "name": "ada/sentiment", "version": version, "license": "MIT",
        "task": {"name": "sentiment"},
        "base": {
            "id": "tiny", "architecture": "bert", "hidden_size": 4, "num_layers": 1, "num_heads": 1,
            "intermediate_size": 8, "vocab_size": 16, "weights_digest": Digest::of(b"weights"),
        },
        "method": {"type": "lora", "r": 2, "lora_alpha": 2.0, "targets": ["layers.0.query"]},
        "format": "peft", "files": entries,
    });
    let bytes = canonical::to_bytes(&value).expect("canonical");
    (Artifact::parse(&bytes).expect("valid"), bytes)
}

fn install(cache: &Cache, version: &str, files: &[&str]) -> Entry<Artifact> {
    let (manifest, bytes) = manifest(version, files);
    for name in files {
        let digest = Digest::of(name.as_bytes());
        fs::write(cache.partial_path(&digest).expect("a place"), name).expect("writes");
        cache.keep_blob(&digest).expect("keeps");
    }
    cache.stage(&manifest, &bytes).expect("stages").commit().expect("puts in place")
}

const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

#[test]
fn an_adapter_is_found_by_name_and_by_digest() {
    let (_folder, cache) = store();
    let entry = install(&cache, "1.0.0", &FILES);
    let (id, version) = (entry.manifest.name(), entry.manifest.version());
    assert_eq!(cache.entry(id, version).expect("by name").digest, entry.digest);
    let by_digest = cache.entry_by_digest(&entry.digest).expect("by digest");
    assert_eq!(by_digest.folder, entry.folder);
    assert_eq!(by_digest.registry.as_deref(), Some("http://127.0.0.1:8080/"));
    assert_eq!(fs::read_dir(cache.root().join("staging")).expect("lists").count(), 0);
}

#[test]
fn another_registry_with_the_same_names_has_other_adapters() {
    let (folder, cache) = store();
    let entry = install(&cache, "1.0.0", &FILES);
    let other = Cache::new(folder.path(), &"http://127.0.0.1:9090".parse().expect("a URL"));
    assert!(other.entry(entry.manifest.name(), entry.manifest.version()).is_none());
    assert!(other.entry_by_digest(&entry.digest).is_some());
}

#[test]
fn a_folder_that_lost_a_file_does_not_count() {
    let (_folder, cache) = store();
    let entry = install(&cache, "1.0.0", &FILES);
    fs::remove_file(entry.folder.join(FILES[1])).expect("removes");
    assert!(cache.entry(entry.manifest.name(), entry.manifest.version()).is_none());
    assert!(cache.entry_by_digest(&entry.digest).is_none());
}

#[test]
fn removing_one_version_keeps_the_files_that_another_needs() {
    let (_folder, cache) = store();
    let old = install(&cache, "1.0.0", &FILES);
    let new = install(&cache, "1.1.0", &[FILES[0], FILES[1], "notes.json"]);
    assert_eq!(cache.versions(new.manifest.name()).expect("lists").len(), 2);
    assert_eq!(cache.remove(&[new]).expect("removes"), "notes.json".len() as u64);
    assert!(cache.entry(old.manifest.name(), old.manifest.version()).is_some());
    assert!(cache.size().expect("measures") > 0);
    assert!(cache.remove(&[old]).expect("removes") > 0);
    assert_eq!(cache.size().expect("measures"), 0);
}

#[tokio::test]
async fn a_lock_is_waited_for() {
    let (_folder, cache) = store();
    let first = cache.lock_for_adding(&Silent).await.expect("locks");
    let second = cache.lock_for_adding(&Silent).await.expect("adding is shared");
    let removing = cache.lock_for_removing(&Silent);
    let blocked = tokio::time::timeout(std::time::Duration::from_millis(250), removing).await;
    assert!(blocked.is_err(), "removing waits for those who add");
    drop((first, second));
    cache.lock_for_removing(&Silent).await.expect("locks");
}
