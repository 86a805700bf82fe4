//! `kill -9` of everything, at moments that nobody chose: nothing that was acknowledged
//! is lost, and nothing is half published.
//!
//! `scripts/faults` runs for longer (`HUB_TEST_KILLS`), on every database and store. Workers and
//! mirrors are killed in `killed_workers.rs` and `killed_mirrors.rs`.

use std::{
    path::Path,
    process::Child,
    time::{Duration, SystemTime},
};

use hub_schemas::{digest::Digest, manifest::Manifest};
use hub_tests::{
    cli::Home,
    hub::{HubProcess, SampleAdapter, Visitor, flags},
};

/// Kills in a run of continuous integration.
const KILLS: usize = 12;
/// From before the first request to after the last answer of a push.
const LONGEST_MS: u64 = 400;

/// How often to kill.
pub(crate) fn kills(otherwise: usize) -> usize {
    std::env::var("HUB_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Numbers that differ from run to run; the failure message has the first.
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice, and what a failure message says of them.
    pub(crate) fn new() -> (Self, u64) {
        let seed: u64 = SystemTime::UNIX_EPOCH.elapsed().expect("a time").subsec_nanos().into();
        (Self(seed | 1), seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub(crate) fn kill(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

fn sample(number: usize) -> SampleAdapter {
    let text = format!("# Number {number}\n").repeat(250_000);
    SampleAdapter::lora("ada/x", &format!("1.0.{number}")).with_file("README.md", text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_however_often_server_client_and_collector_are_killed() {
    let (mut dice, seed) = Dice::new();
    let data = tempfile::tempdir().expect("a folder");
    let flags = flags().await;
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let token = HubProcess::token_with(data.path(), &flags, "ada");
    let serve = || HubProcess::start_with(data.path(), &flags);
    let mut server = serve();
    let mut home = Home::new(&server.url());
    let start = |home: &Home, folder: &str| {
        home.command(&["push", folder]).env("HUB_TOKEN", &token).spawn().expect("hub starts")
    };
    let (mut number, mut acknowledged) = (0, Vec::new());
    for _ in 0..kills(KILLS) {
        let sample = sample(number);
        let folder = home.write(&format!("push-{number}"), &sample);
        let folder = folder.to_str().expect("text");
        let mut client = start(&home, folder);
        let mut collector = collector(data.path(), &flags);
        tokio::time::sleep(Duration::from_millis(dice.below(LONGEST_MS))).await;
        match dice.below(3) {
            0 => kill(&mut client),
            1 => kill(&mut collector),
            _ => {
                server.kill();
                server = serve();
                // The client may have been at its first request: it then knows no registry to wait for.
                kill(&mut client);
                home = home.at(&server.url());
            }
        }
        // Whatever happened, the same push again does what is left.
        let again = start(&home, folder).wait_with_output().expect("it ends");
        assert!(again.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&again.stderr));
        drop(client.wait());
        drop(collector.wait());
        acknowledged.push(sample);
        number += 1;
        server.kill();
        server = serve();
        home = home.at(&server.url());
    }
    let ada = server.visitor(&token);
    let listed = ada.get("adapters/ada/x").await.json()["versions"].as_array().map_or(0, Vec::len);
    assert_eq!(listed, acknowledged.len(), "seed {seed}");
    for sample in &acknowledged {
        is_whole(&ada, sample).await;
    }
}

/// Removes what nothing refers to, again and again.
pub(crate) fn collector(data: &Path, flags: &[&str]) -> Child {
    HubProcess::verb(data, &[&["gc", "--older-than=0"], flags].concat())
}

/// Every file of a version is what its manifest says.
pub(crate) async fn is_whole(ada: &Visitor, sample: &SampleAdapter) {
    let answer = ada.get(&format!("manifests/{}", sample.digest())).await;
    let manifest = Manifest::parse(&answer.body).expect("the manifest");
    assert_eq!(manifest.name, sample.manifest.name);
    for file in &manifest.files {
        let answer = ada.get(&format!("adapters/ada/x/blobs/{}", file.digest)).await;
        assert!(answer.status.is_success(), "{}: {}", file.path, answer.status);
        assert_eq!(Digest::of(&answer.body), file.digest, "{}", file.path);
    }
}
