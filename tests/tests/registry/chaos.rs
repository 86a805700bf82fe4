//! A network that delays, cuts and corrupts: what arrives is right, or is not accepted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use hub_schemas::{api::SearchPage, digest::Digest};
use hub_tests::{
    cli::Home,
    hub::{SampleAdapter, TestHub},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};

/// Pushes and pulls in a run of continuous integration; `HUB_TEST_CHAOS` sets another number.
const ROUNDS: usize = 4;
/// Tries until one comes through.
const TRIES: usize = 40;

/// Numbers shared by all connections (SplitMix64); the failure message has the seed.
#[derive(Clone)]
struct Dice(Arc<AtomicU64>);

impl Dice {
    fn one_in(&self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    fn below(&self, limit: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Listens in front of `upstream` and breaks what passes; its address.
async fn chaos(upstream: &str, dice: Dice) -> String {
    let upstream = upstream.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((inner, _)) = listener.accept().await {
            let Ok(outer) = TcpStream::connect(&upstream).await else { continue };
            let ((from_client, to_client), (from_server, to_server)) =
                (inner.into_split(), outer.into_split());
            // A flipped bit in a header could make another valid request, against which only TLS helps: what a
            // client sends is damaged less often, and what came of it is looked at in the end.
            tokio::spawn(carry(from_client, to_server, dice.clone(), 200));
            tokio::spawn(carry(from_server, to_client, dice.clone(), 40));
        }
    });
    format!("http://{address}")
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, dice: Dice, corrupts_one_in: u64) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if dice.one_in(8) {
            tokio::time::sleep(Duration::from_millis(dice.below(30))).await;
        }
        if dice.one_in(60) {
            // Half of it, and the connection is gone.
            drop(to.write_all(&piece[..read / 2]).await);
            return;
        }
        if dice.one_in(corrupts_one_in) {
            let at = usize::try_from(dice.below(read as u64)).expect("below a usize");
            piece[at] ^= 1 << dice.below(8);
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_network_that_cuts_delays_and_corrupts_only_right_bytes_arrive() {
    let rounds = std::env::var("HUB_TEST_CHAOS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let seed: u64 = SystemTime::UNIX_EPOCH.elapsed().expect("a time").subsec_nanos().into();
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let url = chaos(&hub.url(), Dice(Arc::new(AtomicU64::new(seed)))).await;
    let (author, reader) = (Home::new(&url), Home::new(&url));
    for round in 0..rounds {
        let card = format!("# Round {round}\n").repeat(15_000);
        let sample =
            SampleAdapter::lora("ada/x", &format!("1.0.{round}")).with_file("README.md", card.as_bytes());
        let folder = author.write(&format!("push-{round}"), &sample);
        let folder = folder.to_string_lossy();
        let mut pushed = false;
        for _ in 0..TRIES {
            let said = author.hub_with(&[("HUB_TOKEN", ada.token())], &["push", &folder]).await;
            // Whatever the program was told, what the registry has decides.
            let there = ada.get(&format!("manifests/{}", sample.digest())).await.status == 200;
            assert!(said.code != Some(0) || there, "seed {seed}: a push that succeeded left nothing: {said}");
            pushed = there;
            if pushed {
                break;
            }
        }
        assert!(pushed, "seed {seed}: nothing came through in {TRIES} tries");
        let reference = format!("ada/x@1.0.{round}");
        let mut pulled = None;
        for _ in 0..TRIES {
            let said = reader.hub(&["pull", &reference, "--format", "json"]).await;
            if said.code == Some(0) {
                pulled = Some(said.json()["folder"].as_str().expect("a folder").to_owned());
                break;
            }
            assert_eq!(said.code, Some(1), "seed {seed}: {said}");
        }
        let pulled = pulled.unwrap_or_else(|| panic!("seed {seed}: nothing came through in {TRIES} tries"));
        for (path, bytes) in &sample.files {
            let found = std::fs::read(std::path::Path::new(&pulled).join(path)).expect("reads");
            assert_eq!(Digest::of(&found), Digest::of(bytes), "seed {seed}: {path}");
        }
    }
    // One version each, as it was sent, and nothing else.
    let found = ada.get("adapters/ada/x").await.json();
    let versions = found["versions"].as_array().expect("versions");
    assert_eq!(versions.len(), rounds, "seed {seed}");
    assert!(versions.iter().all(|entry| entry.get("yanked").is_none()), "seed {seed}: {versions:?}");
    assert_eq!(found["visibility"], "public", "seed {seed}");
    let page: SearchPage = ada.get("search").await.expect_ok();
    assert_eq!(page.total, 1, "seed {seed}: {:?}", page.items);
}
