//! How much memory real backbones take: the bounds that the documentation promises.

use std::{fmt::Write as _, path::PathBuf};

use hub_tests::memory::peak_of;

use super::world::{BAD, GOOD, NEUTRAL, Numbers, World};

const MB: u64 = 1_000_000;

/// `scripts/fetch` puts the pinned checkpoints there.
fn fetched(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.data").join(name);
    assert!(path.exists(), "`{name}` is missing: run scripts/fetch --with smollm2-135m-instruct");
    path.display().to_string()
}

#[test]
fn a_lora_on_minilm_is_trained_within_a_gigabyte() {
    let world = World::new();
    let mut numbers = Numbers(5);
    let mut rows = "text,label\n".to_owned();
    for number in 0..72 {
        let (words, label) = if number % 2 == 0 { (GOOD, "good") } else { (BAD, "bad") };
        let mut text = words[numbers.below(words.len())].to_owned();
        (0..140).for_each(|_| write!(text, " {}", NEUTRAL[numbers.below(NEUTRAL.len())]).expect("written"));
        writeln!(rows, "{text},{label}").expect("written");
    }
    std::fs::write(world.path("long.csv"), rows).expect("written");
    let base = fetched("minilm");
    let mut command = world.hub(&[
        "train",
        "--base",
        &base,
        "--data",
        "long.csv",
        "--method",
        "lora",
        "--batch-size",
        "32",
        "--max-length",
        "128",
        "--epochs",
        "1",
        "--output",
        "out",
        "-qq",
    ]);
    let (status, peak) = peak_of(&mut command);
    assert!(status.success(), "{status}");
    assert!((100 * MB..1000 * MB).contains(&peak), "{} MB", peak / MB);
}

#[test]
fn a_language_model_in_four_bits_runs_within_400_megabytes() {
    let world = World::new();
    let base = fetched("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
    let prompt = "What is an adapter?";
    let mut command = world.hub(&["run", "None", "--base", &base, prompt, "--max-new-tokens", "3"]);
    let (status, peak) = peak_of(&mut command);
    assert!(status.success(), "{status}");
    assert!((50 * MB..400 * MB).contains(&peak), "{} MB", peak / MB);
}
