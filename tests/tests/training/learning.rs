//! Every method learns, and what it learnt is what the folder holds.

use hub_client::{
    Device,
    backbones::Compute,
    data::{ColumnOptions, DataFile, Example},
    metrics::Metric,
    predict::Predictor,
    tasks::{LabelPrediction, Predicted},
    training::{HyperParameters, TrainingError, Unobserved, evaluate},
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder};
use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, Targets},
    method::{
        AdaLoraConfig, BottleneckConfig, HadamardConfig, LoraConfig, Method, PromptConfig, PromptPlace,
        ReftConfig, ReplaceConfig,
    },
};

use super::world::{Watcher, World, train, train_watched};

fn learns(method: Method, least: f64) {
    let world = World::new();
    let mut job = world.job(method, "out");
    job.test = Some(world.path("held-out.csv"));
    let mut watcher = Watcher::default();
    let finished = train_watched(job, &mut watcher).expect("finishes");
    let first: f32 = watcher.losses[..10].iter().sum();
    let last: f32 = watcher.losses[watcher.losses.len() - 10..].iter().sum();
    assert!(last < 0.8 * first, "the loss went from {first} to {last}");
    let headline = finished.manifest.headline_metric().expect("a metric");
    assert_eq!((headline.name.as_str(), headline.split.as_str()), ("accuracy", "test"));
    assert!(headline.value >= least, "accuracy {} on sentences it has not seen", headline.value);

    // What the folder says is what the folder does.
    let predictor = Predictor::open(&world.base(), &world.path("out"), &Compute::EXACT).expect("opens");
    let data = DataFile::read(&world.path("held-out.csv"), None, &ColumnOptions::default()).expect("reads");
    let measured = evaluate((predictor.model(), predictor.task(), predictor.encoder()), &data, 7, |_, _| {})
        .expect("measures");
    let accuracy = measured.scores.value(Metric::Accuracy).expect("an accuracy");
    assert!((accuracy - headline.value).abs() < 1e-12);
}

#[test]
fn a_pfeiffer_bottleneck_learns() {
    learns(Method::Bottleneck(BottleneckConfig::pfeiffer(2.0)), 0.9);
}

#[test]
fn houlsby_bottlenecks_learn() {
    learns(Method::Bottleneck(BottleneckConfig::houlsby(4.0)), 0.9);
}

#[test]
fn a_lora_learns() {
    learns(Method::Lora(LoraConfig::query_value(4, 8.0, 2)), 0.85);
}

#[test]
fn an_adalora_learns_and_keeps_as_many_singular_values_as_it_may() {
    let targets = Targets::everywhere(&[LinearSite::Query, LinearSite::Value], 2);
    let config = AdaLoraConfig {
        init_r: 6,
        lora_alpha: 12.0,
        lora_dropout: 0.0,
        targets: targets.clone(),
        target_r: Some(4),
        pruned: Vec::new(),
    };
    learns(Method::AdaLora(config.clone()), 0.8);
    let world = World::new();
    let finished = train(world.job(Method::AdaLora(config), "out"));
    let Method::AdaLora(found) = &finished.manifest.method else { panic!("{:?}", finished.manifest.method) };
    assert_eq!(targets.iter().map(|module| found.rank(module)).sum::<usize>(), 4 * 4, "{found:?}");
    let folder = AdapterFolder::open(&world.path("out")).expect("opens");
    let slots = folder.read_slots(&shape()).expect("reads");
    for module in targets.iter() {
        let values = &slots[&format!("{module}.ada_e")];
        assert_eq!(values.shape, [found.rank(module), 1]);
    }
}

#[test]
fn a_prompt_learns_through_a_network_that_is_not_saved() {
    let config = PromptConfig { encoder_hidden_size: Some(16), ..PromptConfig::new(4, PromptPlace::Words) };
    learns(Method::Prompt(config.clone()), 0.75);
    let world = World::new();
    let finished = train(world.job(Method::Prompt(config), "out"));
    assert_eq!(finished.manifest.method, Method::Prompt(PromptConfig::new(4, PromptPlace::Words)));
}

fn shape() -> BackboneShape {
    BaseFolder::open(&World::new().base()).expect("opens").config().shape
}

#[test]
fn biases_norms_and_the_whole_backbone_learn() {
    learns(Method::Replace(ReplaceConfig::bitfit(Architecture::Bert, &shape(), false)), 0.9);
    learns(Method::Replace(ReplaceConfig::layer_norm(Architecture::Bert, &shape())), 0.85);
    learns(Method::Replace(ReplaceConfig::full(Architecture::Bert, &shape(), false)), 0.9);
}

#[test]
fn a_hadamard_adapter_learns_under_a_head_that_was_trained_before() {
    learns(Method::Hadamard(HadamardConfig::standard()), 0.85);
}

#[test]
fn an_orthonormal_projection_learns_and_stays_orthonormal() {
    learns(Method::Reft(ReftConfig { tied_weights: true, ..ReftConfig::loreft(2) }), 0.8);
    let world = World::new();
    train(world.job(Method::Reft(ReftConfig { tied_weights: true, ..ReftConfig::loreft(3) }), "out"));
    let folder = AdapterFolder::open(&world.path("out")).expect("opens");
    let slots = folder.read_slots(&shape()).expect("reads");
    let projections: Vec<_> = slots.iter().filter(|(slot, _)| slot.ends_with(".projection")).collect();
    assert_eq!(projections.len(), 2);
    for (slot, data) in projections {
        let values: Vec<f64> =
            data.bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        let rows: Vec<&[f64]> = values.chunks_exact(data.shape[1]).collect();
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate() {
                let dot: f64 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-6, "{slot}: rows {i} and {j}: {dot}");
            }
        }
    }
}

#[test]
fn a_last_layer_learns_on_features_that_were_computed_once() {
    learns(Method::LastLayer, 0.8);
}

#[test]
fn answers_keep_the_order_of_the_texts_and_do_not_depend_on_their_neighbours() {
    let world = World::new();
    train(world.job(Method::Bottleneck(BottleneckConfig::pfeiffer(2.0)), "out"));
    let predictor = Predictor::open(&world.base(), &world.path("out"), &Compute::EXACT).expect("opens");
    let texts = ["a great film", "awful", "the music of this film and a boring plot", "this lovely music"];
    let predict = |texts: &[&str]| -> Vec<LabelPrediction> {
        let examples: Vec<Example> =
            texts.iter().map(|&text| Example::unanswered(vec![text.to_owned()])).collect();
        let answers = predictor.predict(&examples).expect("predicts").into_iter();
        let label = |answer| if let Predicted::Label(label) = answer { Some(label) } else { None };
        answers.filter_map(label).collect()
    };
    let together = predict(&texts);
    for (text, prediction) in texts.iter().zip(&together) {
        let alone = predict(&[text]).remove(0);
        assert_eq!(alone.label, prediction.label);
        for (a, b) in alone.logits.iter().zip(&prediction.logits) {
            assert!((a - b).abs() < 1e-4, "{text}: {a} alone, {b} in company");
        }
    }
    let labels: Vec<&str> = together.iter().map(|p| p.label.as_str()).collect();
    assert_eq!(labels, ["good", "bad", "bad", "good"]);
}

#[test]
fn a_run_that_diverges_stops_and_says_so() {
    let world = World::new();
    let mut job = world.job(Method::Bottleneck(BottleneckConfig::pfeiffer(2.0)), "out");
    job.options = HyperParameters { learning_rate: 1e30, warmup: 0.0, ..job.options };
    let error = job.prepare(&Device::Cpu).expect("prepares").run(&mut Unobserved).expect_err("diverges");
    assert!(matches!(error, TrainingError::NotFinite { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("at step 2 (learning rate 9."), "{text}");
}
