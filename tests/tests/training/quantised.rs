//! Every method learns on a GGUF file, with the real program (`QLoRA` for those that are LoRAs).

use std::fs;

use candle_core::quantized::GgmlDType;
use hub_tests::{gguf::write_gguf, words::write_words};

use super::{
    world::World,
    writing::{METHODS, fitting, prompts},
};

#[test]
fn every_method_trains_a_quantised_decoder() {
    let world = World::new();
    fs::create_dir(world.path("base")).expect("creates");
    write_gguf(&world.path("base"), GgmlDType::Q4_1);
    fs::remove_dir_all(world.path("base/dense")).expect("removes");
    write_words(&world.path("base"));
    fs::write(world.path("train.csv"), prompts(4, 1)).expect("writes");
    for method in METHODS {
        let train = ["train", "--base", "base/model.gguf", "--data", "train.csv", "--test", "train.csv"];
        let own = ["--steps", "2", "--batch-size", "2", "--output", method, "--method", method];
        world.succeed(&[&train[..], &own, fitting(method)].concat());
        let scores = world.json(&["eval", &format!("./{method}"), "--base", "base", "--data", "train.csv"]);
        let stated = world.manifest(method)["metrics"][0]["value"].as_f64().expect("a number");
        let found = scores["perplexity"].as_f64().unwrap_or_else(|| panic!("{method}: {scores}"));
        assert!((found / stated - 1.0).abs() < 1e-5, "{method} measures {found}, and {stated} in training");
    }
}
