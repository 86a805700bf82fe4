//! A run that was interrupted and resumed ends with the bytes of one that was not.

use hub_client::{
    Device,
    training::{Existing, TrainingError, Unobserved},
};
use hub_formats::checkpoint::BaseFolder;
use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, Targets},
    method::{
        AdaLoraConfig, BottleneckConfig, HadamardConfig, LoraConfig, Method, ReftConfig, ReplaceConfig,
    },
};

use super::world::{Watcher, World, files, train, train_watched};

fn stop_after(world: &World, method: &Method, output: &str, existing: Existing, steps: usize) {
    let mut job = world.job(method.clone(), output);
    job.existing = existing;
    let mut watcher = Watcher { stop_after: Some(steps), ..Watcher::default() };
    assert!(train_watched(job, &mut watcher).is_none(), "stopped");
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    for method in [
        Method::Bottleneck(BottleneckConfig::houlsby(4.0)),
        Method::Lora(LoraConfig::query_value(2, 4.0, 2)),
        Method::AdaLora(adalora()),
        Method::Reft(ReftConfig { tied_weights: true, ..ReftConfig::loreft(2) }),
        Method::Replace(ReplaceConfig::full(Architecture::Bert, &shape(), false)),
        Method::LastLayer,
    ] {
        let world = World::new();
        let whole = train(world.job(method.clone(), "whole"));
        // 14 steps an epoch, an evaluation after 7: in the middle, at an evaluation, at an epoch's end.
        stop_after(&world, &method, "parts", Existing::Refuse, 3);
        stop_after(&world, &method, "parts", Existing::Resume, 4);
        stop_after(&world, &method, "parts", Existing::Resume, 7);
        stop_after(&world, &method, "parts", Existing::Resume, 20);
        stop_after(&world, &method, "parts", Existing::Resume, 80);
        let mut rest = world.job(method.clone(), "parts");
        rest.existing = Existing::Resume;
        let resumed = train(rest);
        assert_eq!(whole.digest, resumed.digest, "{}", method.summary());
        assert_eq!(files(&world.path("whole")), files(&world.path("parts")));
    }
}

/// All its states are met: 140 steps, of which the first 14 and the last 42 prune nothing.
fn adalora() -> AdaLoraConfig {
    let targets = Targets::everywhere(&[LinearSite::Query, LinearSite::Value], 2);
    let (init_r, target_r) = (3, Some(2));
    AdaLoraConfig { init_r, lora_alpha: 6.0, lora_dropout: 0.1, targets, target_r, pruned: Vec::new() }
}

/// The dimensions of the tests' backbone.
fn shape() -> BackboneShape {
    BaseFolder::open(&World::new().base()).expect("opens").config().shape
}

#[test]
fn a_run_in_two_stages_is_resumed_in_either() {
    let method = Method::Hadamard(HadamardConfig::standard());
    let world = World::new();
    let whole = train(world.job(method.clone(), "whole"));
    // The head has 20 epochs of 14 steps, the adapter 10.
    stop_after(&world, &method, "parts", Existing::Refuse, 30);
    stop_after(&world, &method, "parts", Existing::Resume, 249);
    stop_after(&world, &method, "parts", Existing::Resume, 1 + 5);
    stop_after(&world, &method, "parts", Existing::Resume, 60);
    let mut rest = world.job(method, "parts");
    rest.existing = Existing::Resume;
    assert_eq!(whole.digest, train(rest).digest);
    assert_eq!(files(&world.path("whole")), files(&world.path("parts")));
}

#[test]
fn an_interrupted_run_is_neither_overwritten_nor_continued_by_accident() {
    let world = World::new();
    let method = Method::Bottleneck(BottleneckConfig::pfeiffer(4.0));
    stop_after(&world, &method, "out", Existing::Refuse, 3);
    let refused = |existing, rate| {
        let mut job = world.job(method.clone(), "out");
        job.existing = existing;
        job.options.learning_rate = rate;
        job.prepare(&Device::Cpu).expect("prepares").run(&mut Unobserved).expect_err("refused")
    };
    assert!(matches!(refused(Existing::Refuse, 2e-2), TrainingError::Interrupted(_)));
    let other = refused(Existing::Resume, 0.01);
    assert!(other.to_string().ends_with("`learning_rate` was 0.02 and is 0.01 now"), "{other}");
    let mut again = world.job(method.clone(), "out");
    again.existing = Existing::Overwrite;
    assert_eq!(train(again).digest, train(world.job(method, "fresh")).digest);
}
