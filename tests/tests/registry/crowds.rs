//! Many at once: who is first, what everybody gets, and how much memory that takes.

use std::{collections::BTreeMap, path::Path};

use futures_util::{StreamExt as _, future::join_all, stream};
use hub_schemas::digest::Digest;
use hub_tests::hub::{HubProcess, SampleAdapter, TestHub, Visitor, flags};
#[cfg(target_os = "linux")]
use hub_tests::{memory::peak_kib, note};

/// Publishers of one version.
const PUBLISHERS: usize = 200;
/// Pulls of one file.
const PULLS: usize = 1000;
/// What a server may hold, whatever passes through it.
#[cfg(target_os = "linux")]
const MAX_RESIDENT_KIB: u64 = 100 << 10;
/// What a pull may hold besides when its bytes come from S3 through the server: the piece that its
/// client has not taken, and a part of the connections that all of them share.
#[cfg(target_os = "linux")]
const MAX_RELAYED_KIB: u64 = 96;
/// The part of a file that one request carries.
const CHUNK: u64 = 8 << 20;
/// The large file in a run of continuous integration; `HUB_TEST_BLOB_MIB=2048` is two gibibytes.
const BLOB_MIB: u64 = 192;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_publishers_of_one_version_exactly_one_wins() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    // The name and the shared files are there: what is raced for is the version.
    ada.publish(&SampleAdapter::lora("ada/x", "0.1.0")).await;
    let sample = |number: usize| {
        SampleAdapter::lora("ada/x", "1.0.0").with_file("README.md", format!("# By {number}\n").as_bytes())
    };
    let samples: Vec<SampleAdapter> = (0..PUBLISHERS).map(sample).collect();
    stream::iter(&samples)
        .for_each_concurrent(8, async |sample| drop(ada.upload("ada/x", sample.file("README.md")).await))
        .await;
    let answers = join_all(samples.iter().map(|sample| ada.put_manifest(sample))).await;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for answer in &answers {
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(201, 1), (409, PUBLISHERS - 1)]));
    let won = answers.iter().position(|answer| answer.status == 201).expect("somebody won");
    let there = hub.anonymous().get(&format!("manifests/{}", samples[won].digest())).await;
    assert_eq!(there.body, samples[won].manifest_bytes());
    // Everybody who comes again is told the same.
    assert_eq!(ada.put_manifest(&samples[won]).await.status, 200);
    assert_eq!(ada.put_manifest(&samples[(won + 1) % PUBLISHERS]).await.status, 409);
}

/// A server through which everything goes, a user of it, and whether its storage is another one's: an address of
/// the store would prove nothing about the server.
async fn relaying(data: &Path) -> (HubProcess, Visitor, bool) {
    let flags = flags().await;
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("--s3-redirect=false");
    let token = HubProcess::token_with(data, &flags, "ada");
    let server = HubProcess::start_with(data, &flags);
    let ada = server.visitor(&token);
    (server, ada, flags.iter().any(|flag| flag.starts_with("--storage-url")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pulls_at_once_get_the_right_bytes_in_bounded_memory() {
    let data = tempfile::tempdir().expect("a folder");
    let (server, ada, is_relayed) = relaying(data.path()).await;
    let card: Vec<u8> = (0..512 << 10).map(|i: u32| b' ' + (i % 95) as u8).collect();
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0").with_file("README.md", &card)).await;
    let path = format!("adapters/ada/x/blobs/{}", Digest::of(&card));
    let pulls = (0..PULLS).map(|_| async {
        let answer = ada.get(&path).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == card, "a pull got other bytes");
    });
    join_all(pulls).await;
    #[cfg(target_os = "linux")]
    {
        let peak = peak_kib(server.id()).expect("a peak");
        let each = if is_relayed { MAX_RELAYED_KIB } else { 0 };
        let max = MAX_RESIDENT_KIB + each * PULLS as u64;
        note(&format!("the server held at most {} MiB", peak >> 10));
        assert!(peak < max, "the server held {peak} KiB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_gigabytes_passes_both_ways_in_little_memory() {
    let mib = std::env::var("HUB_TEST_BLOB_MIB").ok().and_then(|n| n.parse().ok()).unwrap_or(BLOB_MIB);
    let total: u64 = mib << 20;
    let data = tempfile::tempdir().expect("a folder");
    let (server, ada, _) = relaying(data.path()).await;
    // Every chunk is the same eight mebibytes with its number in front, so that none stands for another.
    let body: Vec<u8> = (0..CHUNK).map(|i| b'a' + (i % 23) as u8).collect();
    let chunk = |at: u64| {
        let mut bytes = body[..usize::try_from(CHUNK.min(total - at)).expect("a usize")].to_vec();
        bytes[..16].copy_from_slice(format!("{at:016}").as_bytes());
        bytes
    };
    let starts: Vec<u64> = (0..total).step_by(usize::try_from(CHUNK).expect("a usize")).collect();
    let mut hasher = hub_schemas::digest::DigestHasher::default();
    for &at in &starts {
        hasher.update(&chunk(at));
    }
    let digest = hasher.finish();
    let status = ada.start_upload("ada/x", digest, total).await.json();
    let id = status["id"].as_str().expect("an id").to_owned();
    for &at in &starts {
        let answer = ada.append(&id, at, &chunk(at), total).await;
        assert!(answer.status.is_success(), "{}: {}", at, answer.status);
    }
    let mut sample = SampleAdapter::lora("ada/x", "1.0.0");
    sample = sample.with_file("notes.txt", b"stands for the large one");
    let notes = sample.manifest.files.iter_mut().find(|f| f.path.as_str() == "notes.txt").expect("listed");
    (notes.size, notes.digest) = (total, digest);
    for (path, bytes) in sample.files.iter().filter(|(path, _)| path != "notes.txt") {
        assert!(ada.upload("ada/x", bytes).await.complete, "{path}");
    }
    assert_eq!(ada.put_manifest(&sample).await.status, 201);
    let request = ada.request(reqwest::Method::GET, &format!("adapters/ada/x/blobs/{digest}"));
    let mut pieces = request.send().await.expect("an answer").bytes_stream();
    let mut hasher = hub_schemas::digest::DigestHasher::default();
    while let Some(piece) = pieces.next().await {
        hasher.update(&piece.expect("bytes"));
    }
    assert_eq!(hasher.finish(), digest);
    #[cfg(target_os = "linux")]
    {
        let peak = peak_kib(server.id()).expect("a peak");
        note(&format!("the server held at most {} MiB", peak >> 10));
        assert!(peak < MAX_RESIDENT_KIB, "the server held {peak} KiB for {mib} MiB");
    }
}
