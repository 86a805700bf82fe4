//! `AdapterFusion` in its second stage: two adapters, then the attention over them.

use std::fs;

use hub_client::training::{Existing, FrozenMember, fuse as fuse_members};
use hub_schemas::method::{FusionConfig, Method};
use safetensors::SafeTensors;
use serde_json::Value;

use super::world::{Watcher, World, files, train, train_watched};

/// A world with the trained adapters `a` and `b`.
pub(super) fn members() -> World {
    let world = World::new();
    for (name, seed) in [("a", "1"), ("b", "2")] {
        let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--method", "houlsby"];
        let rest = ["--reduction-factor", "4", "--epochs", "4", "--lr", "0.02", "--pooling", "mean"];
        let own = ["--seed", seed, "-o", name];
        let (code, _, stderr) = world.run(&[&train[..], &rest, &own].concat());
        assert_eq!(code, 0, "{stderr}");
    }
    world
}

fn fuse<'a>(output: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--fuse", "./a", "--fuse", "./b"];
    let rest =
        ["--name", "tests/ab", "--pooling", "mean", "--lr", "0.01", "--batch-size", "16", "-o", output];
    [&train[..], &rest, extra].concat()
}

fn tensors(world: &World, file: &str) -> Vec<(String, Vec<usize>)> {
    let bytes = fs::read(world.path(file)).expect("reads");
    let read = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut tensors: Vec<_> =
        read.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    tensors.sort();
    tensors
}

#[test]
fn a_fusion_is_trained_over_frozen_members_and_run_with_them() {
    let world = members();
    let before = (files(&world.path("a")), files(&world.path("b")));
    let (code, _, stderr) = world.run(&fuse("ab", &["--epochs", "6"]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(before, (files(&world.path("a")), files(&world.path("b"))), "members stay as they are");

    let manifest: Value =
        serde_json::from_slice(&fs::read(world.path("ab/manifest.json")).expect("reads")).expect("JSON");
    assert_eq!(manifest["method"]["type"], "composition");
    assert_eq!(manifest["method"]["expression"], "Fuse(a, b)");
    assert_eq!(manifest["method"]["members"][0]["name"], "a");
    assert_eq!(manifest["dependencies"][1]["name"], "local/b");
    assert_eq!(manifest["dependencies"][1]["version"], "=0.1.0");

    // The names of `adapters`, so that its `load_adapter_fusion` reads the folder.
    let fusion = tensors(&world, "ab/model_adapter_fusion.safetensors");
    assert_eq!(fusion.len(), 2 * 2 * 5);
    assert_eq!(
        fusion[0],
        ("bert.encoder.layer.0.attention.output.adapter_fusion_layer.a,b.key.bias".to_owned(), vec![16])
    );
    assert_eq!(tensors(&world, "ab/model_head.safetensors")[0].0, "heads.a,b.1.bias");

    let score = world.json(&["eval", "./ab", "--base", "tiny-bert", "--data", "held-out.csv"]);
    assert!(score["accuracy"].as_f64().expect("a number") > 0.9, "{score}");
    let answer = world.json(&["run", "./ab", "--base", "tiny-bert", "a great film"]);
    assert_eq!(answer["predictions"][0]["label"], "good");

    // Somewhere else the members are named.
    fs::remove_file(world.path("ab/.members.json")).expect("removes");
    let run = ["run", "./ab", "--base", "tiny-bert", "a great film"];
    let (code, _, stderr) = world.run(&run);
    assert!(code == 1 && stderr.contains("--member a=DIR"), "{stderr}");
    let (code, stdout, stderr) = world.run(&[&run[..], &["--member", "a=./a", "--member", "./b"]].concat());
    assert!(code == 0 && stdout.starts_with("good"), "{stderr}");
    let (code, _, stderr) = world.run(&[&run[..], &["--member", "a=./b", "--member", "b=./b"]].concat());
    assert!(code == 1 && stderr.contains("is not the member `a`"), "{stderr}");
}

#[test]
fn an_interrupted_fusion_goes_on_to_the_same_bytes() {
    let world = members();
    let members: Vec<FrozenMember> =
        ["a", "b"].map(|name| FrozenMember { name: None, folder: world.path(name) }).to_vec();
    let shape = hub_formats::checkpoint::BaseFolder::open(&world.base()).expect("a backbone").config().shape;
    let job = |output: &str, existing| {
        let method =
            Method::Composition(fuse_members(&members, &shape, FusionConfig::dynamic()).expect("fits"));
        let mut job = world.job(method, output);
        job.members.clone_from(&members);
        job.options.steps = Some(20);
        job.existing = existing;
        job
    };
    let whole = train(job("whole", Existing::Refuse));
    for (steps, existing) in [(3, Existing::Refuse), (9, Existing::Resume)] {
        let mut watcher = Watcher { stop_after: Some(steps), ..Watcher::default() };
        assert!(train_watched(job("parts", existing), &mut watcher).is_none(), "stopped");
    }
    let resumed = train(job("parts", Existing::Resume));
    assert_eq!(whole.digest, resumed.digest);
    assert_eq!(files(&world.path("whole")), files(&world.path("parts")));
}

#[test]
fn a_static_fusion_has_no_values_and_another_size() {
    let world = members();
    let dynamic = world.json(&fuse("x", &["--dry-run"]));
    let fixed = world.json(&fuse("x", &["--dry-run", "--fusion", "static"]));
    // Two layers, two sub-layers: queries and keys with biases, and values without.
    assert_eq!(dynamic["trainable"]["method"], 2 * 2 * (3 * 16 * 16 + 2 * 16));
    assert_eq!(fixed["trainable"]["method"], 2 * 2 * (2 * 16 * 16 + 2 * 16));
}

#[test]
fn what_can_not_be_fused_is_refused_by_name() {
    let world = members();
    let lora = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--method", "lora", "--steps", "2"];
    assert_eq!(world.run(&[&lora[..], &["-o", "low"]].concat()).0, 0);
    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "-o", "x", "--fuse"];
    let refused = |extra: &[&str]| {
        let (code, _, stderr) = world.run(&[&train[..], extra].concat());
        assert_ne!(code, 0, "{stderr}");
        stderr
    };
    assert!(refused(&["./a"]).contains("at least two adapters"));
    assert!(refused(&["./a", "--fuse", "./a"]).contains("are called `a`"));
    assert!(refused(&["./a", "--fuse", "./low"]).contains("`default` has no bottleneck layers"));
    assert!(refused(&["./a", "--fuse", "./b", "--rank", "3"]).contains("cannot be used with"));
}

#[test]
fn members_that_stand_apart_are_fused_with_a_word_on_the_library_that_refuses_them() {
    let world = members();
    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--reduction-factor", "4"];
    world.succeed(&[&train[..], &["--method", "pfeiffer", "--steps", "2", "-o", "low"]].concat());
    let fuse = |second: &str| {
        let fuse =
            ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--fuse", "./a", "--fuse", second];
        let (code, _, stderr) = world.run(&[&fuse[..], &["-o", "x", "--dry-run"]].concat());
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let said = fuse("./low");
    assert!(said.contains("warning: `a` and `low` stand at different sub-layers"), "{said}");
    assert!(!fuse("./b").contains("different sub-layers"));
}

#[test]
fn layers_can_be_left_out_while_it_runs() {
    let world = members();
    let logits = |extra: &[&str]| {
        let run = ["run", "./a", "--base", "tiny-bert", "a great film"];
        world.json(&[&run[..], extra].concat())["predictions"][0]["logits"].clone()
    };
    assert_ne!(logits(&[]), logits(&["--skip-layers", "0"]));
    assert_ne!(logits(&["--skip-layers", "0"]), logits(&["--skip-layers", "0-1"]));
    let run = ["run", "./a", "--base", "tiny-bert", "--skip-layers", "7", "x"];
    let (code, _, stderr) = world.run(&run);
    assert!(code == 1 && stderr.contains("names layer 7, but the backbone has layers 0 to 1"), "{stderr}");
}
