//! A registry on a full disk. The system lets no file grow beyond a limit, for want of a disk of one's
//! own to fill: the same refused writes, file by file. A database that SQLite itself calls full is
//! tested beside `db/pool.rs`.

use std::path::{Path, PathBuf};

use hub_schemas::{api::UploadStatus, digest::Digest, problem::ProblemCode};
use hub_tests::{
    cli::Home,
    hub::{HubProcess, SampleAdapter},
};

const MIB: usize = 1 << 20;
/// Room for two parts and for the small files of a database, and not for the large file.
const LITTLE: u64 = 2_500_000;

/// An adapter with a file of three parts.
fn large() -> SampleAdapter {
    let text: Vec<u8> = (0..3 * MIB).map(|i| b"# abc\n"[i % 6]).collect();
    SampleAdapter::lora("ada/large", "1.0.0").with_file("NOTES.md", &text)
}

/// What lies in the storage half-written.
fn half_written(data: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![data.join("files")]);
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).expect("lists").flatten() {
            let path = item.path();
            if path.is_dir() {
                folders.push(path);
            } else if item.file_name().to_string_lossy().contains('#') {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn what_was_acknowledged_stays_and_goes_on_once_there_is_room() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start_on_small_disk(data.path());
    let ada = server.visitor(&token);
    let sample = large();
    let bytes = sample.file("NOTES.md");
    let total = bytes.len() as u64;
    let begin = async || ada.start_upload("ada/large", Digest::of(bytes), total).await;
    let send =
        async |id: &str, from: usize, to: usize| ada.append(id, from as u64, &bytes[from..to], total).await;

    server.limit_files(Some(LITTLE));
    let UploadStatus { id, .. } = begin().await.expect_ok();
    assert_eq!(send(&id, 0, MIB).await.status, 202);
    let full = send(&id, MIB, 3 * MIB).await;
    assert_eq!((full.status.as_u16(), full.code()), (507, ProblemCode::StorageFull));
    let now: UploadStatus = begin().await.expect_ok();
    assert_eq!((now.id.as_str(), now.received), (id.as_str(), MIB as u64));
    // One more part fits, and the last one does not.
    assert_eq!(send(&id, MIB, 2 * MIB).await.status, 202);
    assert_eq!(send(&id, 2 * MIB, 3 * MIB).await.code(), ProblemCode::StorageFull);
    let now: UploadStatus = begin().await.expect_ok();
    assert_eq!((now.received, now.complete), (2 * MIB as u64, false));
    assert_eq!(half_written(data.path()), Vec::<PathBuf>::new());
    // Who needs less is served.
    let small = SampleAdapter::lora("ada/small", "1.0.0");
    assert!(ada.publish(&small).await.created);

    server.limit_files(None);
    let whole: UploadStatus = send(&id, 2 * MIB, 3 * MIB).await.expect_ok();
    assert!(whole.complete, "nothing that was acknowledged is sent twice");
    assert!(ada.publish(&sample).await.created);
    let blob = ada.get(&format!("adapters/ada/large/blobs/{}", Digest::of(bytes))).await;
    assert_eq!(blob.body, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_told_of_the_full_disk_and_is_repeated_when_there_is_room() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start_on_small_disk(data.path());
    let home = Home::logged_in(&server.url(), &token).await;
    home.write("trained", &large());
    server.limit_files(Some(LITTLE));
    let said = home.hub(&["push", "trained"]).await.expect_code(1);
    for part in ["no room left for this (507 storage-full", "free space on the registry and push again"] {
        assert!(said.stderr.contains(part), "{said}");
    }
    assert_eq!(server.visitor(&token).get("adapters/ada/large").await.status, 404);
    server.limit_files(None);
    let said = home.hub(&["push", "trained"]).await.expect_code(0);
    assert!(said.stderr.contains("published `ada/large@1.0.0`"), "{said}");
    home.hub(&["pull", "ada/large"]).await.expect_code(0);
}

#[tokio::test]
async fn a_database_that_may_not_grow_publishes_nothing_by_halves_and_recovers() {
    /// More than the server has connections: none of them is lost by a refused write.
    const TRIES: usize = 20;
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::token(data.path(), "ada");
    let server = HubProcess::start_on_small_disk(data.path());
    let ada = server.visitor(&token);
    let (old, new) = (SampleAdapter::lora("ada/x", "1.0.0"), SampleAdapter::lora("ada/x", "1.1.0"));
    ada.publish(&old).await;
    ada.upload_files(&new).await;
    let versions = async || {
        let found = ada.get("adapters/ada/x").await.json();
        found["versions"].as_array().expect("versions").len()
    };

    server.limit_files(Some(1));
    for _ in 0..TRIES {
        assert!(ada.put_manifest(&new).await.status.is_server_error());
        assert_eq!(versions().await, 1, "what is there is served");
    }
    server.limit_files(None);
    for i in 0..TRIES {
        let body = format!("{i}").into_bytes();
        let _: UploadStatus = ada.start_upload("ada/x", Digest::of(&body), 1).await.expect_ok();
    }
    assert_eq!(versions().await, 1);
    assert!(ada.put_manifest(&new).await.expect_ok::<hub_schemas::api::Published>().created);
    assert_eq!(versions().await, 2);
}
