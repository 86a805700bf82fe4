//! A step that is computed in parts is the step.

use std::fs;

use hub_client::training::{HyperParameters, TrainingJob};
use hub_schemas::method::{LoraConfig, Method};

use super::{
    world::{Watcher, World, train_watched},
    writing,
};

/// The losses of a run whose steps are computed in so many parts.
fn losses(job: TrainingJob, parts: usize) -> Vec<f32> {
    let options = HyperParameters { accumulate: parts, steps: Some(12), ..job.options.clone() };
    let mut watcher = Watcher::default();
    train_watched(TrainingJob { options, ..job }, &mut watcher);
    watcher.losses
}

fn assert_equal(whole: &[f32], parts: &[f32]) {
    assert_eq!((whole.len(), parts.len()), (12, 12));
    // Every step starts from what the steps before have made, so that what differs grows.
    let apart = whole.iter().zip(parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-4, "{whole:?} and {parts:?}");
    assert!(whole[11] < whole[0], "nothing was learned: {whole:?}");
}

#[test]
fn the_parts_of_a_step_learn_what_the_whole_step_learns() {
    let world = writing::world("llama");
    // Answers of one word and of four: the parts of a step ask for unequally many.
    let rows = (0..48)
        .map(|i| format!("w{},{}\n", 10 + i % 3, ["w20"; 4][..if i % 2 == 0 { 1 } else { 4 }].join(" ")));
    fs::write(world.path("train.csv"), format!("prompt,completion\n{}", rows.collect::<String>()))
        .expect("writes");
    let method = || Method::Lora(LoraConfig::query_value(2, 4.0, 2));
    let job = |output: &str| writing::job(&world, method(), output);
    let whole = losses(job("whole"), 1);
    // Thirty-two rows in parts of seven, the last of four; and one by one.
    for parts in [5, 32] {
        assert_equal(&whole, &losses(job(&format!("parts-{parts}")), parts));
    }
}

#[test]
fn how_many_parts_there_are_is_recorded_and_bounded() {
    let world = World::new();
    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--steps", "2", "-o", "out"];
    world.succeed(&[&train[..], &["--accumulate", "4"]].concat());
    assert_eq!(world.manifest("out")["training"]["hyper_parameters"]["accumulate"], 4);
    let (code, _, stderr) =
        world.run(&[&train[..], &["--overwrite", "--batch-size", "8", "--accumulate", "9"]].concat());
    assert_eq!(code, 1);
    assert!(stderr.contains("`--accumulate` is 9; it must be from 1 to the size of a batch"), "{stderr}");
}
