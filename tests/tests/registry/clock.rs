//! A server whose clock jumps by more than a year in both directions: nothing is removed for its age, and nothing
//! waits for a date that never comes.

use hub_schemas::{
    api::{ChangesPage, UploadStatus},
    digest::Digest,
};
use hub_tests::{
    eventually,
    hub::{FakeClock, HubProcess, SampleAdapter, Visitor},
};
use serde_json::json;

const DAYS: i64 = 400;
/// What removes by age, and how often it is done in this process so far.
const BY_AGE: [&str; 4] = ["collect-garbage", "forget-tokens", "retire-versions", "sweep-uploads"];

/// Waits until each job that removes by age was done `times` since the server started.
async fn done(visitor: &Visitor, times: u64) {
    for kind in BY_AGE {
        let line = format!("hub_jobs_total{{kind=\"{kind}\",outcome=\"done\"}} ");
        eventually(&format!("`{kind}` is done, time {times}"), async || {
            let metrics = String::from_utf8(visitor.get("/metrics").await.body).expect("text");
            let count = metrics.lines().find_map(|found| found.strip_prefix(&line))?;
            (count.parse::<u64>().expect("a count") >= times).then_some(())
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
    let server = HubProcess::start_by(&clock, data.path());
    let ada = server.visitor(&token);
    done(&ada, 1).await;

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

    clock.set(DAYS);
    done(&ada, 2).await;
    ada.publish(&samples[2]).await;
    let ahead = ada.append(&upload.id, 700, &bytes[700..1400], total).await;
    assert_eq!(ahead.status, 202, "the upload is not stale");
    all_is_there(&ada, &samples[..3]).await;

    clock.set(-DAYS);
    ada.publish(&samples[3]).await;
    all_is_there(&ada, &samples).await;

    // Right again, and the server is killed: what was put off until next year is not.
    clock.set(0);
    server.kill();
    let server = HubProcess::start_by(&clock, data.path());
    let ada = ada.at(server.url());
    done(&ada, 1).await;
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
