//! What fusions and gates chose, compositions as artifacts, and training with dropped layers.

use std::fs;

use serde_json::Value;

use super::{fusion::members, world::World};

const TRAIN: [&str; 7] = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--pooling", "mean"];

#[test]
fn a_fusion_says_whom_it_listened_to() {
    let world = members();
    world.succeed(&[&TRAIN[..], &["--fuse", "./a", "--fuse", "./b", "--steps", "30", "-o", "ab"]].concat());
    let told = world.json(&["explain", "./ab", "--base", "tiny-bert", "a great film", "a dull plot"]);
    let mean = told["mean"].as_array().expect("a list");
    assert_eq!(mean.len(), 4, "two layers, two sub-layers");
    for place in mean {
        assert_eq!(place["names"], serde_json::json!(["a", "b"]));
        let shares: Vec<f64> = place["values"]
            .as_array()
            .expect("values")
            .iter()
            .map(|v| v.as_f64().expect("a number"))
            .collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{place}");
    }
    assert_eq!(told["texts"].as_array().map(Vec::len), Some(2));
    let table = world.succeed(&["explain", "./ab", "--base", "tiny-bert", "a film", "-o", "attention.svg"]);
    assert!(table.contains("layers.1.ffn") && table.contains("CHOICE"), "{table}");
    let svg = fs::read_to_string(world.path("attention.svg")).expect("reads");
    assert!(svg.starts_with("<svg") && svg.contains(">layers.0.attention<") && !svg.contains("<script"));
    let (code, _, stderr) = world.run(&["explain", "./a", "--base", "tiny-bert", "a film"]);
    assert!(code == 1 && stderr.contains("no fusion and no gates"), "{stderr}");
}

#[test]
fn gates_say_how_far_they_are_open() {
    let world = World::new();
    let unipelt = ["--method", "unipelt", "--reduction-factor", "4", "--steps", "4", "-o", "gated"];
    world.succeed(&[&TRAIN[..], &unipelt].concat());
    let told = world.json(&["explain", "./gated", "--base", "tiny-bert", "a great film"]);
    let mean = told["mean"].as_array().expect("a list");
    assert!(mean.iter().all(|place| place["chooser"] == "gate"), "{told}");
    let open = mean[0]["values"][0].as_f64().expect("a number");
    assert!((0.0..=1.0).contains(&open), "{open}");
}

#[test]
fn a_composition_is_an_artifact_of_its_own() {
    let world = members();
    let compose =
        ["compose", "Stack(x, y)", "--adapter", "x=./a", "--adapter", "y=./b", "--base", "tiny-bert"];
    world.succeed(&[&compose[..], &["-o", "xy"]].concat());
    let manifest: Value =
        serde_json::from_slice(&fs::read(world.path("xy/manifest.json")).expect("reads")).expect("JSON");
    assert_eq!(manifest["method"]["expression"], "Stack(x, y)");
    assert_eq!(manifest["task"]["name"], "classification");
    assert!(!world.path("xy/adapter.safetensors").exists(), "it holds no member's weights");
    let stacked = world.json(&["run", "./xy", "--base", "tiny-bert", "a great film"]);
    let alone = world.json(&["run", "./b", "--base", "tiny-bert", "a great film"]);
    assert_ne!(stacked["predictions"][0]["logits"], alone["predictions"][0]["logits"]);

    world.succeed(&[&TRAIN[..], &["--fuse", "./a", "--fuse", "./b", "--steps", "5", "-o", "ab"]].concat());
    let fused = ["compose", "Fuse(a, b)", "--adapter", "./a", "--adapter", "./b", "--base", "tiny-bert"];
    let (code, _, stderr) = world.run(&[&fused[..], &["-o", "again"]].concat());
    assert!(code == 1 && stderr.contains("the fusion `a,b` has no weights"), "{stderr}");
    world.succeed(&[&fused[..], &["--fusion", "ab", "-o", "again"]].concat());
    let logits = |folder: &str| {
        world.json(&["run", folder, "--base", "tiny-bert", "a great film"])["predictions"][0]["logits"]
            .clone()
    };
    assert_eq!(logits("./ab"), logits("./again"));
    let (code, _, stderr) = world.run(&["compose", "Stack(a, c)", "--adapter", "./a", "-o", "x"]);
    assert!(code == 1 && stderr.contains("names `c`, which is not given"), "{stderr}");
}

#[test]
fn a_composition_without_weights_is_not_converted() {
    let world = World::new();
    for name in ["a", "b"] {
        let small = ["--method", "pfeiffer", "--reduction-factor", "8", "--steps", "1", "-o", name];
        world.succeed(&[&TRAIN[..], &small].concat());
    }
    let members = ["--adapter", "./a", "--adapter", "./b", "--base", "tiny-bert", "-o", "ab"];
    world.succeed(&[&["compose", "Stack(a, b)"][..], &members].concat());
    for format in ["adapters", "peft"] {
        let (code, _, stderr) = world.run(&["convert", "./ab", "--to", format, "--out", "converted"]);
        assert!(code == 1 && stderr.contains("which has no weights of its own to convert"), "{stderr}");
        assert!(stderr.contains("convert the folders of its members, one by one: `a`, `b`"), "{stderr}");
        assert!(!world.path("converted").exists(), "nothing is written");
    }
}

#[test]
fn training_with_dropped_layers_repeats_exactly_and_is_recorded() {
    let world = World::new();
    let drop = ["--method", "pfeiffer", "--reduction-factor", "4", "--steps", "12", "--adapter-drop"];
    let often = ["--evaluate-every", "12", "--name", "tests/m"];
    world.succeed(&[&TRAIN[..], &drop, &often, &["-o", "one"]].concat());
    world.succeed(&[&TRAIN[..], &drop, &often, &["-o", "two"]].concat());
    world.succeed(&[&TRAIN[..], &drop[..6], &often, &["-o", "whole"]].concat());
    let read = |folder: &str| {
        let bytes = fs::read(world.path(&format!("{folder}/adapter.safetensors"))).expect("reads");
        let manifest = fs::read(world.path(&format!("{folder}/manifest.json"))).expect("reads");
        (bytes, serde_json::from_slice::<Value>(&manifest).expect("JSON"))
    };
    assert!(read("one") == read("two"), "the same seed drops the same layers");
    assert!(read("one").0 != read("whole").0, "dropped layers learn something else");
    assert_eq!(read("one").1["training"]["hyper_parameters"]["adapter_drop"], true);
    let (code, _, stderr) =
        world.run(&[&TRAIN[..], &["--method", "last-layer", "--adapter-drop", "-o", "x"]].concat());
    assert!(code == 1 && stderr.contains("`last-layer` has none"), "{stderr}");
}
