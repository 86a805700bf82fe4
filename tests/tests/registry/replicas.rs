//! Several processes on one database and one storage.

use hub_schemas::{api::UploadStatus, digest::Digest};
use hub_server::{App, Server, config::Config};
use hub_tests::{
    eventually,
    hub::{HubProcess, SampleAdapter, TestHub, bucket, migrated},
    services::seaweedfs::SeaweedFs,
};

#[tokio::test]
async fn any_replica_continues_any_upload() {
    let (url, location) = (migrated().await, bucket(SeaweedFs::shared()));
    let start = || {
        let (url, location) = (url.clone(), location.clone());
        TestHub::start_with(|config| {
            config.database_url = Some(url);
            config.storage = location;
        })
    };
    let hubs = [start().await, start().await, start().await];
    let ada = hubs[0].user("ada").await;
    let at = |i: usize| ada.at(hubs[i % 3].url());

    // Small chunks, each to another replica.
    let sample = SampleAdapter::lora("ada/x", "1.0.0");
    let weights = sample.file("adapter_model.safetensors");
    let total = weights.len() as u64;
    let mut status: UploadStatus = ada.start_upload("ada/x", Digest::of(weights), total).await.expect_ok();
    for (i, chunk) in weights.chunks(1000).enumerate() {
        status = at(i).append(&status.id, (i * 1000) as u64, chunk, total).await.expect_ok();
    }
    assert!(status.complete);
    // Chunks that become parts of the object itself: the digest is computed on by another replica.
    let large: Vec<u8> = b"# Large\n".iter().copied().cycle().take(17 << 20).collect();
    let total = large.len() as u64;
    let mut status: UploadStatus = ada.start_upload("ada/x", Digest::of(&large), total).await.expect_ok();
    for (i, chunk) in large.chunks(6 << 20).enumerate() {
        status = at(i).append(&status.id, (i * (6 << 20)) as u64, chunk, total).await.expect_ok();
    }
    assert!(status.complete);
    let sample = sample.with_file("README.md", &large);
    assert!(at(1).publish(&sample).await.created);
    let read = at(2).get(&format!("adapters/ada/x/blobs/{}", Digest::of(&large))).await;
    assert!(read.body == large);
}

#[tokio::test]
async fn two_servers_on_one_data_folder_lock_each_other_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HubProcess::start(folder.path());
    let mut config = Config::embedded(folder.path());
    config.listen = ([127, 0, 0, 1], 0).into();
    let refused = Server::bind(&config).await.expect_err("in use").to_string();
    assert!(refused.contains(&format!("is in use by the process {}", server.id())), "{refused}");
    let worker = HubProcess::admin(folder.path(), &["worker"]);
    assert!(!worker.status.success() && String::from_utf8_lossy(&worker.stderr).contains("is in use"));
    // The lock ends with the process, however it ends.
    server.kill();
    drop(Server::bind(&config).await.expect("free again"));
}

#[tokio::test]
async fn a_worker_does_the_jobs_of_servers_that_do_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("--database-url={}", migrated().await);
    let server = HubProcess::start_with(folder.path(), &[&url, "--run-jobs=false"]);
    let ada = server.visitor(&HubProcess::token_with(folder.path(), &[&url], "ada"));
    let dropped = ada.upload("ada/x", b"dropped").await;
    ada.delete(&format!("uploads/{}", dropped.id)).await;
    let files = || std::fs::read_dir(folder.path().join("files/blobs/sha256")).map_or(0, Iterator::count);
    assert_eq!(files(), 1);
    let mut worker = HubProcess::worker(folder.path(), &[&url, "--garbage-delay-seconds=0"]);
    eventually("the file is removed", async || (files() == 0).then_some(())).await;
    let metrics = String::from_utf8(ada.get("/metrics").await.body).expect("text");
    assert!(metrics.contains("hub_jobs_waiting{kind=\"collect-garbage\"} 1"), "{metrics}");
    worker.kill().expect("it was running");
    worker.wait().expect("it stopped");
}

#[tokio::test]
async fn a_server_on_an_old_schema_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(folder.path());
    config.database_url = Some(format!("sqlite:{}?mode=rwc", folder.path().join("other.sqlite").display()));
    assert!(App::open(&config).await.is_err());
}
