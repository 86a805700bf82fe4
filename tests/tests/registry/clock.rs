//! A server whose clock jumps by more than a year in both directions: nothing is removed for its age, and nothing
//! waits for a date that never comes.

use futures_util::future::join_all;
use hub_schemas::{
    api::{ChangesPage, UploadStatus},
    digest::Digest,
};
use hub_tests::{
    eventually,
    hub::{FakeClock, HubProcess, SampleAdapter, Visitor, migrated, shared_flags},
};
use serde_json::json;

const YEAR: time::Duration = time::Duration::days(400);
/// How far the clocks of replicas are apart: S3 refuses requests that are a quarter of an hour from its own.
const APART: time::Duration = time::Duration::minutes(10);
/// What removes by age, and how often it is done in this process so far.
const BY_AGE: [&str; 4] = ["collect-garbage", "forget-tokens", "retire-versions", "sweep-uploads"];

/// How often a server has done a job since it started.
async fn count(visitor: &Visitor, kind: &str) -> u64 {
    let line = format!("hub_jobs_total{{kind=\"{kind}\",outcome=\"done\"}} ");
    let metrics = String::from_utf8(visitor.get("/metrics").await.body).expect("text");
    let count = metrics.lines().find_map(|found| found.strip_prefix(&line));
    count.map_or(0, |count| count.parse().expect("a count"))
}

/// Waits until each job that removes by age was done `times` by one of the servers.
async fn done(servers: &[Visitor], times: u64) {
    for kind in BY_AGE {
        eventually(&format!("`{kind}` is done, time {times}"), async || {
            let counts = join_all(servers.iter().map(|server| count(server, kind))).await;
            (counts.into_iter().max() >= Some(times)).then_some(())
        })
        .await;
    }
}

async fn all_is_there(visitor: &Visitor, samples: &[SampleAdapter]) {
    for sample in samples {
        let found = visitor.get(&format!("manifests/{}", sample.digest())).await;
        assert_eq!(found.body, sample.manifest_bytes(), "{}", sample.manifest.version);
        for (path, bytes) in &sample.files {
            let found = visitor.get(&format!("adapters/ada/x/blobs/{}", Digest::of(bytes))).await;
            assert!(found.body == *bytes, "{path} of {}", sample.manifest.version);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_work_goes_on_when_the_clock_jumps_ahead_and_back() {
    let data = tempfile::tempdir().expect("a folder");
    let token = HubProcess::owner_token(data.path(), &[], "ada");
    let clock = FakeClock::new();
    let server = HubProcess::start_by(&clock, data.path(), &[]);
    let ada = server.visitor(&token);
    done(std::slice::from_ref(&ada), 1).await;

    // A version that rules delete in a month, and a file that is half sent: neither is old.
    let mut samples: Vec<SampleAdapter> =
        ["1.0.0-rc.1", "1.0.0", "1.1.0", "1.2.0"].map(|version| SampleAdapter::lora("ada/x", version)).into();
    samples[0] =
        SampleAdapter::lora("ada/x", "1.0.0-rc.1").with_file("README.md", b"# Of this version alone\n");
    let rules = json!({"prerelease_days": 30});
    assert_eq!(ada.put_json("namespaces/ada/retention", &rules).await.status, 200);
    ada.publish(&samples[0]).await;
    ada.publish(&samples[1]).await;
    let (bytes, total) = (vec![b'x'; 2000], 2000);
    let upload: UploadStatus = ada.start_upload("ada/x", Digest::of(&bytes), total).await.expect_ok();
    assert_eq!(ada.append(&upload.id, 0, &bytes[..700], total).await.status, 202);

    clock.set(YEAR);
    done(std::slice::from_ref(&ada), 2).await;
    ada.publish(&samples[2]).await;
    let ahead = ada.append(&upload.id, 700, &bytes[700..1400], total).await;
    assert_eq!(ahead.status, 202, "the upload is not stale");
    all_is_there(&ada, &samples[..3]).await;

    clock.set(-YEAR);
    ada.publish(&samples[3]).await;
    all_is_there(&ada, &samples).await;

    // Right again, and the server is killed: what was put off until next year is not.
    clock.set(time::Duration::ZERO);
    server.kill();
    let server = HubProcess::start_by(&clock, data.path(), &[]);
    let ada = ada.at(server.url());
    done(std::slice::from_ref(&ada), 1).await;
    all_is_there(&ada, &samples).await;
    let rest = ada.append(&upload.id, 1400, &bytes[1400..], total).await;
    assert!(rest.expect_ok::<UploadStatus>().complete);

    // The feed has an order of its own.
    let feed: ChangesPage = ada.get("changes?since=0").await.expect_ok();
    let serials: Vec<_> = feed.items.iter().map(|change| change.serial).collect();
    assert!(serials.is_sorted() && serials.len() >= samples.len(), "{serials:?}");
    let versions: Vec<_> = feed.items.iter().filter_map(|change| change.version.as_ref()).collect();
    assert_eq!(versions, samples.iter().map(|sample| &sample.manifest.version).collect::<Vec<_>>());
    drop(server);
    let doctor = HubProcess::admin(data.path(), &["doctor"]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_by_different_clocks_serve_one_registry() {
    let place = shared_flags(&migrated().await);
    let flags: Vec<&str> = place.iter().map(String::as_str).collect();
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let clocks = [time::Duration::ZERO, APART, -APART].map(|apart| {
        let clock = FakeClock::new();
        clock.set(apart);
        clock
    });
    let token = HubProcess::token_with(folders[0].path(), &flags, "ada");
    let servers: Vec<HubProcess> = std::iter::zip(&folders, &clocks)
        .map(|(folder, clock)| HubProcess::start_by(clock, folder.path(), &flags))
        .collect();
    let visitors: Vec<Visitor> = servers.iter().map(|server| server.visitor(&token)).collect();
    let at = |i: usize| &visitors[i % 3];

    // Chunk by chunk, each by another one; then versions in turn, the dates of which run to and fro.
    let (bytes, total) = (vec![b'x'; 900], 900);
    let mut upload: UploadStatus = at(0).start_upload("ada/x", Digest::of(&bytes), total).await.expect_ok();
    for (i, chunk) in bytes.chunks(100).enumerate() {
        upload = at(i).append(&upload.id, (i * 100) as u64, chunk, total).await.expect_ok();
    }
    assert!(upload.complete);
    let samples: Vec<SampleAdapter> =
        (0..6).map(|i| SampleAdapter::lora("ada/x", &format!("1.{i}.0"))).collect();
    for (i, sample) in samples.iter().enumerate() {
        assert!(at(i).publish(sample).await.created, "{i}");
    }
    // Whoever cleans up does it by the clock of the replica that it runs on.
    done(&visitors, 1).await;
    for server in &visitors {
        all_is_there(server, &samples).await;
        // The feed has each change once, in the order in which they were made.
        let feed: ChangesPage = server.get("changes?since=0").await.expect_ok();
        let versions: Vec<_> = feed.items.iter().filter_map(|change| change.version.as_ref()).collect();
        assert_eq!(versions, samples.iter().map(|sample| &sample.manifest.version).collect::<Vec<_>>());
        assert!(feed.items.is_sorted_by(|a, b| a.serial < b.serial));
    }
}
