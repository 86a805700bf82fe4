//! `kill -9` of a mirror, of whoever pulls through it and of its collector of garbage, at moments that nobody chose:
//! what it serves is right, and what was broken off is fetched again.

use std::{fs, path::Path, time::Duration};

use hub_tests::{
    cli::Home,
    hub::{HubProcess, SampleAdapter, TestHub, flags},
};

use super::faults::{Dice, collector, is_whole, kill, kills};

/// Kills in a run of continuous integration.
const KILLS: usize = 8;
/// From before the first request to after the last byte of a pull.
const LONGEST_MS: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_serves_right_bytes_however_often_it_and_who_pulls_are_killed() {
    let (mut dice, seed) = Dice::new();
    let upstream = TestHub::start().await;
    let ada = upstream.user("ada").await;
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("hub.toml");
    let text =
        format!("[[mirrors]]\nurl = \"{}\"\nnamespaces = [\"ada\"]\nfresh_seconds = 0\n", upstream.url());
    fs::write(&file, text).expect("writes");
    let mut place = flags().await;
    place.push(format!("--config={}", file.display()));
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let token = HubProcess::token_with(data.path(), &place, "eve");
    let serve = || HubProcess::start_with(data.path(), &place);
    let mut mirror = serve();
    let mut samples = Vec::new();
    for number in 0..kills(KILLS) {
        let card = format!("# Number {number}\n").repeat(250_000);
        let sample =
            SampleAdapter::lora("ada/x", &format!("1.0.{number}")).with_file("README.md", card.as_bytes());
        assert!(ada.upload_at_once("ada/x", card.as_bytes()).await.complete);
        ada.publish(&sample).await;
        let reference = format!("ada/x@1.0.{number}");
        let pull = |home: &Home| {
            let mut command = home.command(&["pull", &reference, "--format", "json"]);
            command.env("HUB_TOKEN", &token).spawn().expect("hub starts")
        };
        let home = Home::new(&mirror.url());
        let mut client = pull(&home);
        let mut garbage = collector(data.path(), &place);
        tokio::time::sleep(Duration::from_millis(dice.below(LONGEST_MS))).await;
        match dice.below(3) {
            0 => kill(&mut client),
            1 => kill(&mut garbage),
            _ => {
                mirror.kill();
                mirror = serve();
                kill(&mut client);
            }
        }
        drop((client.wait(), garbage.wait()));
        // In the same home: what came before counts.
        let home = home.at(&mirror.url());
        let output = pull(&home).wait_with_output().expect("it ends");
        assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let folder = Path::new(said["folder"].as_str().expect("a folder"));
        for (path, bytes) in &sample.files {
            assert!(fs::read(folder.join(path)).expect("reads") == *bytes, "seed {seed}: {path}");
        }
        samples.push(sample);
    }
    // What whoever pulls had from before was not asked for again, and may have been removed meanwhile: now it is.
    let eve = mirror.visitor(&token);
    for sample in &samples {
        is_whole(&eve, sample).await;
    }
    // From now on everything is here, with nobody left to ask.
    drop(upstream);
    assert!(collector(data.path(), &place).wait().expect("it ends").success(), "seed {seed}");
    for sample in &samples {
        is_whole(&eve, sample).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_where_it_was_however_often_it_is_killed() {
    let (mut dice, seed) = Dice::new();
    let upstream = TestHub::start().await;
    let ada = upstream.user("ada").await;
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("hub.toml");
    let text = format!(
        "[[mirrors]]\nurl = \"{}\"\nnamespaces = [\"ada\"]\nreplicate_as = \"eve\"\n",
        upstream.url()
    );
    fs::write(&file, text).expect("writes");
    let mut place = flags().await;
    place.push(format!("--config={}", file.display()));
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let token = HubProcess::token_with(data.path(), &place, "eve");
    // Each round is a command: what the server does by itself is the same.
    let follow = || HubProcess::verb(data.path(), &[&["follow"], &place[..]].concat());
    let serve = || HubProcess::start_with(data.path(), &[&place[..], &["--run-jobs=false"]].concat());
    let mut server = serve();
    let mut samples = Vec::new();
    for number in 0..kills(KILLS) {
        let card = format!("# Number {number}\n").repeat(60_000);
        let sample =
            SampleAdapter::lora("ada/x", &format!("1.0.{number}")).with_file("README.md", card.as_bytes());
        assert!(ada.upload_at_once("ada/x", card.as_bytes()).await.complete);
        ada.publish(&sample).await;
        if number % 3 == 2 {
            let yank = serde_json::json!({"yanked": true, "reason": "wrong labels"});
            let path = format!("adapters/ada/x/versions/1.0.{number}");
            assert_eq!(ada.patch(&path, &yank).await.status, 200);
        }
        let (mut round, mut garbage) = (follow(), collector(data.path(), &place));
        tokio::time::sleep(Duration::from_millis(dice.below(LONGEST_MS))).await;
        match dice.below(3) {
            0 => kill(&mut garbage),
            1 => {
                server.kill();
                server = serve();
            }
            _ => kill(&mut round),
        }
        drop((round.wait(), garbage.wait()));
        samples.push(sample);
    }
    assert!(follow().wait().expect("it ends").success(), "seed {seed}");
    let eve = server.visitor(&token);
    let (here, there) = (eve.get("index/ada/x").await.json(), ada.get("index/ada/x").await.json());
    assert_eq!(here, there, "seed {seed}");
    // With nobody left to ask.
    drop(upstream);
    assert!(collector(data.path(), &place).wait().expect("it ends").success(), "seed {seed}");
    for sample in &samples {
        is_whole(&eve, sample).await;
    }
}
