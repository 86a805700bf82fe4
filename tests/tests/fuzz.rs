//! Every parser of foreign bytes on its corpus and on mutations of it, with a stable compiler.
//!
//! The targets are those of `fuzz`, which libFuzzer drives for hours: `scripts/fuzz --seconds 3600`.
//! Here a generator with a fixed seed does as much as CI has time for;
//! `HUB_FUZZ_ROUNDS=100000 cargo test -p hub-tests --test fuzz` does more. Whatever libFuzzer finds
//! is committed to `fuzz/corpus` and is run here from then on.

#![allow(clippy::expect_used, reason = "a test that can't set itself up must fail")]

#[expect(unreachable_pub, reason = "the fuzzer's binaries call them from another crate")]
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// Numbers that length and count fields are wrong with.
const EXTREMES: [u64; 9] =
    [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// Numbers that are the same on every machine (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { usize::try_from(self.next() % bound as u64).expect("below a usize") }
    }
}

/// One to four changes of the kinds that break parsers.
fn mutated(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(7) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            2 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            3 => {
                let width = [1, 2, 4, 8][numbers.below(4)];
                let value = EXTREMES[numbers.below(EXTREMES.len())].to_le_bytes();
                let end = bytes.len().min(at + width);
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
            4 => {
                let end = bytes.len().min(at + 1 + numbers.below(32));
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let end = bytes.len().min(at + 1 + numbers.below(16));
                bytes.drain(at..end);
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                let end = other.len().min(from + 1 + numbers.below(64));
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    bytes
}

fn survives(name: &str, target: fn(&[u8]), rounds: u64) {
    let rounds = std::env::var("HUB_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(rounds);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut paths: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|item| item.expect("an entry").path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("reads")).collect();
    assert!(!seeds.is_empty(), "{} is empty", folder.display());
    let run = |bytes: &[u8], what: &str| {
        if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
            let kept = std::env::temp_dir().join(format!("hub-fuzz-{name}"));
            fs::write(&kept, bytes).expect("writes");
            panic!("`{name}` panicked on {what}; its bytes are in `{}`", kept.display());
        }
    };
    for (seed, path) in seeds.iter().zip(&paths) {
        run(seed, &path.display().to_string());
    }
    let mut numbers = Numbers(0x6875_6200);
    for round in 0..rounds {
        let (seed, other) = (&seeds[numbers.below(seeds.len())], &seeds[numbers.below(seeds.len())]);
        run(&mutated(seed, other, &mut numbers), &format!("mutation {round}"));
    }
}

#[test]
fn headers_of_safetensors_files() {
    survives("header", targets::header, 20_000);
}

#[test]
fn manifests() {
    survives("manifest", targets::manifest, 5_000);
}

#[test]
fn names_versions_and_paths() {
    survives("names", targets::names, 5_000);
}

#[test]
fn range_headers() {
    survives("ranges", targets::ranges, 50_000);
}

#[test]
fn pickles() {
    survives("pickle", targets::pickle, 2_000);
}

#[test]
fn gguf_files() {
    survives("gguf", targets::gguf, 2_000);
}

#[test]
fn configurations_of_backbones() {
    survives("config", targets::config, 2_000);
}

#[test]
fn configurations_of_adapters() {
    survives("adapter", targets::adapter, 2_000);
}

#[test]
fn bundles() {
    survives("bundle", targets::bundle, 300);
}
