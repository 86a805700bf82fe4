//! The backbone in bf16: near single precision, recorded, and the same bytes every time.

use std::fs;

use serde_json::Value;

use super::world::{World, files};

fn logits(world: &World, more: &[&str]) -> Vec<f64> {
    let run = ["run", "./half", "--base", "tiny-bert", "--format", "json", "a great film"];
    let told: Value = serde_json::from_str(&world.succeed(&[&run[..], more].concat())).expect("JSON");
    let logits = told["predictions"][0]["logits"].as_array().expect("logits");
    logits.iter().map(|logit| logit.as_f64().expect("a number")).collect()
}

#[test]
fn bf16_is_near_single_precision_recorded_and_repeats_exactly() {
    let world = World::new();
    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--method", "lora", "--steps", "4"];
    for output in ["half", "again"] {
        let more = ["--name", "local/half", "--precision", "bf16", "-o", output];
        world.succeed(&[&train[..], &more].concat());
    }
    let weights = |folder: &str| {
        let files = files(&world.path(folder)).into_iter();
        files.filter(|(name, _)| name.ends_with(".safetensors")).collect::<Vec<_>>()
    };
    assert_eq!(weights("half"), weights("again"));
    let manifest = fs::read(world.path("half/manifest.json")).expect("reads");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["training"]["hyper_parameters"]["precision"], "bf16");

    let (single, half) = (logits(&world, &[]), logits(&world, &["--precision", "bf16"]));
    let apart = single.iter().zip(&half).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart > 0.0 && apart < 0.02, "{single:?} and {half:?}");
    let scores = ["eval", "./half", "--base", "tiny-bert", "--data", "reviews.csv", "--precision", "bf16"];
    assert!(world.succeed(&scores).contains("accuracy"));
    let (code, _, stderr) = world.run(&["run", "./half", "--base", "tiny-bert", "--precision", "int8", "x"]);
    assert!(code == 2 && stderr.contains("f32, bf16"), "{stderr}");
}
