//! `kill -9` of workers, beside servers on PostgreSQL and S3, at moments that nobody chose: every job is done in the
//! end, every event arrives, and nothing is removed that somebody needs.

use std::{collections::BTreeSet, path::Path, process::Child, time::Duration};

use hub_tests::{
    cli::Home,
    eventually,
    hub::{HubProcess, SampleAdapter, migrated, shared_flags},
    receiver::{Delivery, Receiver},
};
use serde_json::json;
use sqlx::{AnyConnection, Connection as _};

use super::faults::{Dice, collector, is_whole, kill, kills};

/// Kills in a run of continuous integration.
const KILLS: usize = 6;
/// From before the first request of a push until its jobs are done.
const LONGEST_MS: u64 = 900;
const WORKERS: usize = 2;
/// Longer than a worker that is idle does not look.
const IDLE: Duration = Duration::from_secs(3);

/// Killed when dropped.
struct Worker(Child);

impl Worker {
    fn start(data: &Path, flags: &[&str]) -> Self {
        Self(HubProcess::worker(data, flags))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        kill(&mut self.0);
    }
}

/// How many jobs are left that something caused, and how many were given up. Leases of whoever was killed end at
/// once, as they would within a minute.
async fn jobs(database: &mut AnyConnection) -> (i64, i64) {
    let ended = "UPDATE jobs SET leased_until = 0 WHERE leased_until IS NOT NULL";
    sqlx::query(ended).execute(&mut *database).await.expect("ends leases");
    let sql = "SELECT COUNT(*), COUNT(failed_at) FROM jobs
               WHERE kind IN ('deliver-event', 'delete-object', 'keep-manifest')";
    sqlx::query_as(sql).fetch_one(&mut *database).await.expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_is_done_however_often_workers_are_killed() {
    let (mut dice, seed) = Dice::new();
    let data = tempfile::tempdir().expect("a folder");
    let url = migrated().await;
    let place = shared_flags(&url);
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let both = [&place[..], &["--webhooks-anywhere=true"]].concat();
    let serve = || HubProcess::start_with(data.path(), &[&both[..], &["--run-jobs=false"]].concat());
    let token = HubProcess::owner_token(data.path(), &place, "ada");
    let mut server = serve();
    let receiver = Receiver::start().await;
    let hook = json!({"url": receiver.url()});
    let added = server.visitor(&token).post("namespaces/ada/webhooks", &hook).await;
    assert_eq!(added.status, 201);
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(data.path(), &both)).collect();
    let mut home = Home::new(&server.url());
    let push = |home: &Home, folder: &str| {
        home.command(&["push", folder]).env("HUB_TOKEN", &token).spawn().expect("hub starts")
    };
    let mut samples = Vec::new();
    for number in 0..kills(KILLS) {
        let card = format!("# Number {number}\n").repeat(20_000);
        let sample =
            SampleAdapter::lora("ada/x", &format!("1.0.{number}")).with_file("README.md", card.as_bytes());
        let folder = home.write(&format!("push-{number}"), &sample);
        let folder = folder.to_str().expect("text");
        let mut client = push(&home, folder);
        let mut garbage = collector(data.path(), &place);
        tokio::time::sleep(Duration::from_millis(dice.below(LONGEST_MS))).await;
        // Mostly one worker; at times the other, too, or the server.
        let victim = usize::try_from(dice.below(WORKERS as u64)).expect("an index");
        workers[victim] = Worker::start(data.path(), &both);
        match dice.below(4) {
            0 => {
                workers.clear();
                workers.extend((0..WORKERS).map(|_| Worker::start(data.path(), &both)));
            }
            1 => {
                server.kill();
                server = serve();
                kill(&mut client);
                home = home.at(&server.url());
            }
            _ => {}
        }
        drop(client.wait());
        let again = push(&home, folder).wait_with_output().expect("it ends");
        assert!(again.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&again.stderr));
        drop(garbage.wait());
        samples.push(sample);
    }
    let mut database = AnyConnection::connect(&url).await.expect("connects");
    eventually("every job is done", async || {
        let (left, failed) = jobs(&mut database).await;
        assert_eq!(failed, 0, "seed {seed}");
        if left > 0 {
            tokio::time::sleep(IDLE).await;
        }
        (left == 0).then_some(())
    })
    .await;
    eventually("every event arrives", async || {
        let events: Vec<_> = receiver.deliveries().iter().map(Delivery::event).collect();
        let seen: BTreeSet<_> = events.iter().filter_map(|event| event["subject"].as_str()).collect();
        let subject = |sample: &SampleAdapter| format!("ada/x@{}", sample.manifest.version);
        samples.iter().all(|sample| seen.contains(subject(sample).as_str())).then_some(())
    })
    .await;
    assert!(collector(data.path(), &place).wait().expect("it ends").success(), "seed {seed}");
    let ada = server.visitor(&token);
    for sample in &samples {
        is_whole(&ada, sample).await;
    }
    // A copy of every manifest is in the storage: the registry could be made anew from it.
    drop(server);
    workers.clear();
    let other = format!("--database-url={}", migrated().await);
    let storage = place.iter().filter(|flag| !flag.starts_with("--database-url")).copied();
    let storage: Vec<&str> = storage.chain([other.as_str()]).collect();
    let rebuilt = HubProcess::admin(data.path(), &[&["rebuild", "--owner", "ada"], &storage[..]].concat());
    assert!(rebuilt.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&rebuilt.stderr));
    let token = HubProcess::token_with(data.path(), &storage, "ada");
    let server = HubProcess::start_with(data.path(), &[&storage[..], &["--run-jobs=false"]].concat());
    for sample in &samples {
        is_whole(&server.visitor(&token), sample).await;
    }
}
