//! A database and a store that break and come back, real ones: what was acknowledged is there, and work goes on.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use hub_schemas::{
    api::UploadStatus,
    digest::Digest,
    problem::{Problem, ProblemCode},
};
use hub_server::{App, config::Config};
use hub_tests::{
    cli::{Home, Said},
    eventually,
    hub::{SampleAdapter, TestHub, Visitor, bucket},
    services::{postgres::Postgres, seaweedfs::SeaweedFs},
};

use super::object_storage::on_s3;

const MIB: usize = 1 << 20;
/// How often the database breaks while publishers work.
const RESTARTS: usize = 3;
/// Between two of these some versions are published.
const WORK: Duration = Duration::from_millis(300);
/// Whoever was refused waits so long.
const PAUSE: Duration = Duration::from_millis(50);
/// Who publish all the time, each another adapter.
const PUBLISHERS: usize = 4;

fn large() -> Vec<u8> {
    b"# Large\n".iter().copied().cycle().take(14 * MIB).collect()
}

async fn start(ada: &Visitor, bytes: &[u8]) -> UploadStatus {
    ada.start_upload("ada/x", Digest::of(bytes), bytes.len() as u64).await.expect_ok()
}

/// One version of an adapter, whose files are those of all its versions.
fn version(publisher: usize, number: usize) -> SampleAdapter {
    SampleAdapter::lora(&format!("ada/x{publisher}"), &format!("1.0.{number}"))
}

/// Publishes version after version until it is `over`; which were acknowledged, and which refused.
async fn publish_on(ada: &Visitor, publisher: usize, over: &AtomicBool) -> (Vec<usize>, Vec<usize>) {
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for number in 1.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let answer = ada.put_manifest(&version(publisher, number)).await;
        if answer.status == 201 {
            acknowledged.push(number);
        } else {
            let Problem { status, code, .. } = answer.problem();
            assert_eq!((status, code), (503, ProblemCode::Unavailable), "{answer:?}");
            refused.push(number);
            tokio::time::sleep(PAUSE).await;
        }
    }
    (acknowledged, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_breaks_while_many_publish_and_nothing_that_was_acknowledged_is_lost() {
    let postgres = Postgres::start();
    let url = postgres.database(None);
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(folder.path());
    config.database_url = Some(url.clone());
    App::migrate(&config).await.expect("migrates");
    let hub = TestHub::start_with(|config| config.database_url = Some(url)).await;
    let ada = hub.user("ada").await;
    for publisher in 0..PUBLISHERS {
        ada.publish(&version(publisher, 0)).await;
    }
    let bytes = large();
    let upload = start(&ada, &bytes).await;
    ada.append(&upload.id, 0, &bytes[..6 * MIB], bytes.len() as u64).await;

    let over = Arc::new(AtomicBool::new(false));
    let breaking = tokio::task::spawn_blocking({
        let over = Arc::clone(&over);
        move || {
            for _ in 0..RESTARTS {
                postgres.restart();
                std::thread::sleep(WORK);
            }
            over.store(true, Ordering::Relaxed);
            postgres
        }
    });
    let published = join_all((0..PUBLISHERS).map(|publisher| publish_on(&ada, publisher, &over))).await;
    let _postgres = breaking.await.expect("no panic");
    assert!(published.iter().any(|(acknowledged, _)| !acknowledged.is_empty()));
    for (publisher, (acknowledged, refused)) in published.into_iter().enumerate() {
        for &number in &acknowledged {
            let sample = version(publisher, number);
            let found = ada.get(&format!("manifests/{}", sample.digest())).await;
            assert_eq!(found.body, sample.manifest_bytes(), "{publisher}: {number}");
        }
        // What was refused is there as a whole or not at all, and the same request settles it.
        for &number in &refused {
            let again = ada.put_manifest(&version(publisher, number)).await;
            assert!(again.status.is_success(), "{publisher}: {number}: {again:?}");
        }
        let listed = ada.get(&format!("adapters/ada/x{publisher}")).await.json();
        let listed = listed["versions"].as_array().map_or(0, Vec::len);
        assert_eq!(listed, 1 + acknowledged.len() + refused.len());
    }
    assert_eq!(start(&ada, &bytes).await.received, 6 << 20);
    let rest = ada.append(&upload.id, 6 << 20, &bytes[6 * MIB..], bytes.len() as u64).await;
    assert!(rest.expect_ok::<UploadStatus>().complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_killed_in_a_transfer_goes_on_with_it_when_it_is_back() {
    let mut store = SeaweedFs::start();
    let location = bucket(&store);
    let hub = TestHub::start_with(|config| {
        config.storage = location;
        config.redirect_from = None;
    })
    .await;
    let ada = hub.user("ada").await;
    let (bytes, sample) = (large(), SampleAdapter::lora("ada/x", "1.0.0"));
    ada.upload_files(&sample).await;
    let upload = start(&ada, &bytes).await;
    let total = bytes.len() as u64;
    assert_eq!(ada.append(&upload.id, 0, &bytes[..6 * MIB], total).await.status, 202);
    store.stop();
    let away = ada.append(&upload.id, 6 << 20, &bytes[6 * MIB..], total).await;
    assert_eq!((away.status.as_u16(), away.code()), (503, ProblemCode::Unavailable));
    store.start_again();
    assert_eq!(start(&ada, &bytes).await.received, 6 << 20);
    let rest = ada.append(&upload.id, 6 << 20, &bytes[6 * MIB..], total).await;
    assert!(rest.expect_ok::<UploadStatus>().complete);
    let sample = sample.with_file("README.md", &bytes);
    assert!(ada.publish(&sample).await.created);
    let read = ada.get(&format!("adapters/ada/x/blobs/{}", Digest::of(&bytes))).await;
    assert!(read.body == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_breaks_in_a_pull_costs_a_wait_and_no_byte() {
    // By the registry's hand, and from the store itself.
    for redirect_from in [None, Some(0)] {
        let (hub, tap) = on_s3(redirect_from).await;
        let (ada, bytes) = (hub.user("ada").await, large());
        assert!(ada.upload_at_once("ada/x", &bytes).await.complete);
        let sample = SampleAdapter::lora("ada/x", "1.0.0").with_file("README.md", &bytes);
        ada.publish(&sample).await;
        let home = Home::logged_in(&hub.url(), ada.token()).await;
        tap.take();
        tap.cut_behind(5 * MIB);
        let pulling = home.start(&["pull", "ada/x", "--format", "json"]);
        eventually("the store is cut off in a file", async || tap.is_cut().then_some(())).await;
        tap.cut(false);
        let said = tokio::task::spawn_blocking(move || pulling.wait_with_output());
        let said = Said::new(&said.await.expect("no panic").expect("it ends")).expect_code(0);
        let folder = said.json()["folder"].as_str().expect("a folder").to_owned();
        for (path, expected) in &sample.files {
            let found = std::fs::read(Path::new(&folder).join(path)).expect("reads");
            assert!(found == *expected, "{path} with redirects from {redirect_from:?}");
        }
    }
}
