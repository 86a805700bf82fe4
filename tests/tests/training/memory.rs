//! How much memory real backbones take: the bounds that the documentation promises.

use std::{collections::HashMap, fmt::Write as _, path::PathBuf};

use candle_core::{DType, Device};
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

/// The folder of a backbone with its weights in bf16, in two files.
fn in_bf16(world: &World, base: &str) -> String {
    let folder = world.path("half");
    std::fs::create_dir(&folder).expect("created");
    std::fs::copy(format!("{base}/config.json"), folder.join("config.json")).expect("copied");
    let weights = candle_core::safetensors::load(format!("{base}/model.safetensors"), &Device::Cpu);
    let mut shards = [HashMap::new(), HashMap::new()];
    let mut map = serde_json::Map::new();
    for (at, (name, tensor)) in weights.expect("weights").into_iter().enumerate() {
        map.insert(name.clone(), format!("model-{}.safetensors", at % 2).into());
        shards[at % 2].insert(name, tensor.to_dtype(DType::BF16).expect("rounded"));
    }
    for (at, shard) in shards.iter().enumerate() {
        let path = folder.join(format!("model-{at}.safetensors"));
        candle_core::safetensors::save(shard, path).expect("written");
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    std::fs::write(folder.join("model.safetensors.index.json"), index).expect("written");
    folder.display().to_string()
}

/// Of its 45 MB, the 21 of the blocks come into memory where they lie, and packed in single precision they are 42: of the word
/// table only rows in use. It took 121 MB with everything else, and 200 when all was copied in single precision.
#[test]
fn weights_in_half_precision_are_not_kept_in_single_precision_too() {
    let world = World::new();
    let base = in_bf16(&world, &fetched("minilm"));
    let inputs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/inputs.safetensors");
    let inputs = inputs.display().to_string();
    let mut command =
        world.hub(&["forward", "--base", &base, "--inputs", &inputs, "--outputs", "out.safetensors"]);
    let (status, peak) = peak_of(&mut command);
    assert!(status.success(), "{status}");
    assert!((40 * MB..160 * MB).contains(&peak), "{} MB", peak / MB);
}
