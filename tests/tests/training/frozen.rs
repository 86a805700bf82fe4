//! What blocks below the lowest adapter give is computed once, and changes nothing.

use std::{collections::BTreeSet, fs};

use hub_client::training::{Existing, LOG_FILE, TrainingEvent, TrainingJob, TrainingObserver};
use hub_formats::checkpoint::BaseFolder;
use hub_schemas::method::{BottleneckConfig, HadamardConfig, LoraConfig, Method, ReftConfig};
use serde_json::Value;

use super::world::{Watcher, World, files, train, train_watched};

/// Hears how many examples the frozen blocks have run over.
#[derive(Default)]
struct Rows(usize);

impl TrainingObserver for Rows {
    fn on(&mut self, event: &TrainingEvent<'_>) {
        if let TrainingEvent::Features { done, .. } = event {
            self.0 = *done;
        }
    }
}

/// The method in the upper one of the two layers.
fn upper(world: &World, method: Method) -> Method {
    let shape = BaseFolder::open(&world.base()).expect("opens").config().shape;
    method.in_layers(&BTreeSet::from([1]), &shape).expect("it stands in layers")
}

fn methods() -> [Method; 3] {
    [
        Method::Bottleneck(BottleneckConfig::houlsby(4.0)),
        Method::Lora(LoraConfig::query_value(2, 4.0, 2)),
        Method::Reft(ReftConfig { tied_weights: true, ..ReftConfig::loreft(2) }),
    ]
}

fn losses(world: &World, output: &str) -> Vec<f64> {
    let log = fs::read_to_string(world.path(output).join(LOG_FILE)).expect("a log");
    let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    entries.filter_map(|entry| entry["loss"].as_f64()).collect()
}

fn run(job: TrainingJob) -> usize {
    let mut rows = Rows::default();
    train_watched(job, &mut rows).expect("finished");
    rows.0
}

#[test]
fn steps_above_frozen_blocks_are_those_of_the_whole_model() {
    let world = World::new();
    for (number, method) in methods().into_iter().enumerate() {
        let job = |output: &str, keep_states| {
            let mut job = world.job(upper(&world, method.clone()), output);
            job.options.keep_states = keep_states;
            job.test = Some(world.path("held-out.csv"));
            job
        };
        let (kept, again) = (format!("kept-{number}"), format!("again-{number}"));
        assert_eq!(run(job(&kept, 1 << 30)), 240, "the frozen block reads every example once");
        assert_eq!(run(job(&again, 0)), 0);
        let (kept, again) = (losses(&world, &kept), losses(&world, &again));
        assert!(kept.len() > 140 && kept.len() == again.len());
        let apart = kept.iter().zip(&again).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 2e-4, "{}: {apart:e}", method.summary());
    }
}

#[test]
fn a_resumed_run_above_frozen_blocks_ends_with_the_same_bytes() {
    let world = World::new();
    let method = upper(&world, methods()[1].clone());
    let whole = train(world.job(method.clone(), "whole"));
    for (existing, steps) in [(Existing::Refuse, 3), (Existing::Resume, 20)] {
        let mut job = world.job(method.clone(), "parts");
        job.existing = existing;
        let mut watcher = Watcher { stop_after: Some(steps), ..Watcher::default() };
        assert!(train_watched(job, &mut watcher).is_none(), "stopped");
    }
    let mut rest = world.job(method, "parts");
    rest.existing = Existing::Resume;
    assert_eq!(whole.digest, train(rest).digest);
    assert_eq!(files(&world.path("whole")), files(&world.path("parts")));
}

#[test]
fn nothing_is_kept_where_every_block_or_every_step_is_its_own() {
    let world = World::new();
    let lowest = world.job(methods()[1].clone(), "lowest");
    assert_eq!(run(lowest), 0, "an adapter in the first block");
    let mut once = world.job(upper(&world, methods()[1].clone()), "once");
    once.options.epochs = 1;
    assert_eq!(run(once), 0, "a single pass over the data");
    let mut small = world.job(upper(&world, methods()[1].clone()), "small");
    small.options.keep_states = 100_000;
    assert_eq!(run(small), 0, "more than there is room for");
}

#[test]
fn layers_are_chosen_by_their_numbers() {
    let world = World::new();
    let train = ["train", "--base", "tiny-bert", "--data", "reviews.csv", "--steps", "2", "--dry-run"];
    let told = |more: &[&str]| world.run(&[&train[..], more].concat());
    let parameters = |more: &[&str]| {
        let (code, stdout, stderr) = told(&[more, &["--format", "json"]].concat());
        assert_eq!(code, 0, "{stderr}");
        let told: Value = serde_json::from_str(&stdout).expect("JSON");
        told["trainable"]["method"].as_u64().expect("a number")
    };
    for method in ["lora", "houlsby", "ia3", "hadamard"] {
        let all = parameters(&["--method", method]);
        assert_eq!(parameters(&["--method", method, "--layers", "0-1"]), all, "{method}");
        assert_eq!(2 * parameters(&["--method", method, "--layers", "1"]), all, "{method}");
    }
    let refused = |more: &[&str]| {
        let (code, _, stderr) = told(more);
        assert_ne!(code, 0);
        stderr
    };
    insta::assert_snapshot!(refused(&["--layers", "1,2"]), @"error: `--layers` names layer 2; the base model has 0 to 1");
    insta::assert_snapshot!(refused(&["--method", "prompt", "--layers", "1"]), @"error: `--layers` has no meaning for `prompt`, which can't be left out of a layer");
    let backwards = refused(&["--layers", "1-0"]);
    assert!(backwards.contains("`1-0` is neither a layer, as in `4`, nor several in a row, as in `4-5`"));
}

#[test]
fn a_hadamard_adapter_in_the_upper_layer_is_trained_in_both_stages() {
    let world = World::new();
    let method = upper(&world, Method::Hadamard(HadamardConfig::standard()));
    assert_eq!(run(world.job(method, "out")), 240);
}
