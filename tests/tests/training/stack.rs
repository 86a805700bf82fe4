//! Training on top of an adapter that stays as it is: that of a task on that of a language.

use std::fs;

use hub_schemas::layout::ADAPTERS_WEIGHTS;
use safetensors::SafeTensors;

use super::world::{World, files};

const TRAIN: [&str; 10] = [
    "train",
    "--base",
    "tiny-bert",
    "--data",
    "reviews.csv",
    "--validation",
    "held-out.csv",
    "--pooling",
    "mean",
    "--lr",
];

/// A world with the trained adapter `below`, and one that was trained on top of it.
fn stacked() -> World {
    let world = World::new();
    let rest =
        ["0.02", "--method", "pfeiffer-inv", "--reduction-factor", "4", "--steps", "20", "-o", "below"];
    world.succeed(&[&TRAIN[..], &rest].concat());
    world
}

fn on_top<'a>(output: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let rest = ["0.02", "--on", "./below", "--steps", "60", "--batch-size", "16", "-o", output];
    [&TRAIN[..], &rest, extra].concat()
}

#[test]
fn an_adapter_is_trained_on_top_of_another_and_measured_as_the_stack_of_both() {
    let world = stacked();
    let before = files(&world.path("below"));
    let (code, _, stderr) = world.run(&on_top("top", &["--reduction-factor", "4"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("hub compose \"Stack(below1, top)\" --adapter below1=./below --adapter top=top"),
        "{stderr}"
    );
    assert_eq!(before, files(&world.path("below")), "the adapter below stays as it is");

    // It is an adapter of its own, for any other below it, and says what it was trained on.
    let manifest = world.manifest("top");
    assert_eq!(manifest["method"]["type"], "bottleneck");
    let stated = manifest["training"]["hyper_parameters"]["on_top_of"].as_str().expect("a statement");
    assert!(stated.starts_with("local/below@0.1.0 sha256:"), "{stated}");
    assert!(manifest["dependencies"].as_array().is_none_or(Vec::is_empty), "{manifest}");
    let bytes = fs::read(world.path("top").join(ADAPTERS_WEIGHTS)).expect("weights");
    let names = SafeTensors::deserialize(&bytes).expect("safetensors").len();
    assert_eq!(names, 2 * 4, "nothing of the adapter below is in it");

    let adapters =
        ["--adapter", "below=./below", "--adapter", "top=./top", "--base", "tiny-bert", "-o", "both"];
    world.succeed(&[&["compose", "Stack(below, top)"][..], &adapters].concat());
    let composed = world.json(&["eval", "./both", "--base", "tiny-bert", "--data", "held-out.csv"]);
    let (accuracy, loss) =
        (composed["accuracy"].as_f64().expect("a number"), composed["loss"].as_f64().expect("a number"));
    assert_eq!(manifest["metrics"][0]["value"].as_f64(), Some(accuracy));
    assert!(
        stderr.contains(&format!("validation loss {loss:.4}")),
        "{loss}, what training measured: {stderr}"
    );
    assert!(accuracy > 0.9, "{accuracy}");

    let (code, _, stderr) = world.run(&["eval", "./top", "--base", "tiny-bert", "--data", "held-out.csv"]);
    assert!(code == 0 && stderr.contains("was trained on top of `local/below@0.1.0`"), "{stderr}");
}

#[test]
fn the_same_stack_trains_the_same_bytes() {
    let world = stacked();
    for name in ["one", "two"] {
        world.succeed(&on_top(name, &["--name", "tests/top", "--reduction-factor", "8"]));
    }
    assert_eq!(files(&world.path("one")), files(&world.path("two")));
}

#[test]
fn a_method_that_only_acts_as_the_lowest_is_refused_on_top() {
    let world = stacked();
    for method in ["loreft", "prompt", "pfeiffer-inv", "hadamard"] {
        let (code, _, stderr) = world.run(&on_top("top", &["--method", method]));
        assert!(
            code == 1 && stderr.contains("can't be trained on top of another adapter"),
            "{method}: {stderr}"
        );
        assert!(!world.path("top").exists(), "nothing is left behind");
    }
    let (code, _, stderr) = world.run(&on_top("top", &["--fuse", "./below"]));
    assert!(code == 2 && stderr.contains("cannot be used with"), "{stderr}");
}
