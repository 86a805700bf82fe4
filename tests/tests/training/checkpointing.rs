//! A step whose layers are computed twice learns what a step learns that keeps everything.

use std::{collections::BTreeMap, fs, path::Path};

use hub_client::training::HyperParameters;
use hub_schemas::method::{LoraConfig, Method};
use safetensors::SafeTensors;

use super::{
    world::{World, train},
    writing,
};

/// Every trained number of a folder, by file and tensor.
fn weights(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if file.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let bytes = fs::read(&file).expect("reads");
        for (name, view) in SafeTensors::deserialize(&bytes).expect("safetensors").tensors() {
            let numbers = view.data().as_chunks::<4>().0.iter().map(|&number| f32::from_le_bytes(number));
            found.insert(format!("{} {name}", file.display()), numbers.collect());
        }
    }
    assert!(!found.is_empty(), "{} has no weights", folder.display());
    found
        .into_iter()
        .map(|(name, numbers)| (name.replace(&folder.display().to_string(), ""), numbers))
        .collect()
}

/// How far numbers are apart after twelve steps with and without.
fn apart(world: &World, train: &[&str]) -> f32 {
    for more in [&["-o", "kept"][..], &["-o", "twice", "--gradient-checkpointing"]] {
        world.succeed(
            &[
                &["train", "--overwrite", "--name", "local/same", "--steps", "12", "--lr", "0.01"],
                train,
                more,
            ]
            .concat(),
        );
    }
    largest_difference(world, "kept", "twice")
}

fn largest_difference(world: &World, kept: &str, twice: &str) -> f32 {
    let [kept, twice] = [kept, twice].map(|folder| weights(&world.path(folder)));
    assert_eq!(kept.keys().collect::<Vec<_>>(), twice.keys().collect::<Vec<_>>());
    let pairs = kept.values().flatten().zip(twice.values().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn classifiers_learn_the_same() {
    let world = World::new();
    // What stands in each layer alone; what stands in front of all of them; and what all of them share.
    for method in ["lora", "dora", "pfeiffer", "bitfit", "prompt", "prefix", "compacter++", "unipelt", "full"]
    {
        let narrow = ["compacter++", "unipelt"].contains(&method);
        let more: &[&str] = if narrow { &["--reduction-factor", "4"] } else { &[] };
        let train = ["--base", "tiny-bert", "--data", "reviews.csv", "--method", method];
        let apart = apart(&world, &[&train[..], more].concat());
        assert!(apart <= 1e-6, "{method}: {apart:e}");
    }
}

#[test]
fn language_models_learn_the_same() {
    for base in ["llama", "gpt2", "gemma2"] {
        let world = writing::world(base);
        for method in ["lora", "prefix", "llama-adapter"] {
            let apart = apart(&world, &["--base", "base", "--data", "train.csv", "--method", method]);
            assert!(apart <= 1e-6, "{base}, {method}: {apart:e}");
        }
    }
}

#[test]
fn above_frozen_layers_and_where_layers_are_dropped_too() {
    let world = World::new();
    let train = ["--base", "tiny-bert", "--data", "reviews.csv", "--method", "lora"];
    for more in [&["--layers", "1"][..], &["--adapter-drop"], &["--accumulate", "3"]] {
        let apart = apart(&world, &[&train[..], more].concat());
        assert!(apart <= 1e-6, "{more:?}: {apart:e}");
    }
}

#[test]
fn the_second_time_dropout_leaves_out_the_same() {
    let world = World::new();
    let lora = LoraConfig { lora_dropout: 0.3, ..LoraConfig::query_value(2, 4.0, 2) };
    for (output, recompute) in [("kept", false), ("twice", true)] {
        let mut job = world.job(Method::Lora(lora.clone()), output);
        job.options = HyperParameters { recompute, steps: Some(12), ..job.options };
        train(job);
    }
    let apart = largest_difference(&world, "kept", "twice");
    assert!(apart <= 1e-6, "{apart:e}");
}

#[test]
fn behind_an_encoder_it_is_refused() {
    let world = writing::world("t5");
    let train = ["train", "--base", "base", "--data", "train.csv", "--method", "lora", "-o", "out"];
    let (code, _, stderr) = world.run(&[&train[..], &["--gradient-checkpointing"]].concat());
    assert_eq!(code, 1);
    assert!(stderr.contains("it must be left out where a decoder stands behind an encoder"), "{stderr}");
}
