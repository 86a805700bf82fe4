//! Adapters in folders as factors, and back.

use hub_formats::checkpoint::AdapterFolder;
use hub_schemas::method::{Dora, LoraConfig, Method, UnionConfig};

use super::{
    super::{Factors, LoraLayers, MergeError, Normalise, average_tensors, lora_layers, lora_tensors},
    baking::{base, tiny},
    delta, distance, noise,
};

fn of_shape(outputs: usize, inputs: usize, rank: usize, scaling: f64, seed: u64) -> Factors {
    Factors::new(noise(rank, inputs, seed), noise(outputs, rank, seed + 50), scaling).expect("factors")
}

#[test]
fn folders_of_both_libraries_are_read_as_updates() {
    let shape = base().config().shape;
    for (name, count) in [("peft-lora-every-linear", 12), ("peft-rslora-one-layer", 6), ("adapters-lora", 10)]
    {
        let folder = AdapterFolder::open(&tiny(name).join("adapter")).expect("opens");
        let slots = folder.read_slots(&shape).expect("reads");
        let layers = lora_layers(&folder.method, &slots, &folder.path).expect("a LoRA");
        let Method::Lora(config) = &folder.method else { panic!("{name}") };
        assert_eq!(layers.len(), count, "{name}");
        assert!(layers.values().all(|f| f.rank() == config.r), "{name}");
        for (layer, factors) in &layers {
            let module = layer.parse().expect("a module");
            assert_eq!(factors.scaling().to_bits(), config.scaling(module).to_bits(), "{name}: {layer}");
        }

        // Written again, the tensors are the same.
        let written = lora_tensors(&layers, &shape).expect("tensors");
        for (slot, tensor) in &written.slots {
            assert_eq!(tensor, &slots[slot], "{name}: {slot}");
        }
        assert_eq!(written.config.targets, config.targets, "{name}");
        assert!(written.config.patterns.is_empty(), "{name}");
        let there = |module| (written.config.scaling(module) - config.scaling(module)).abs() < 1e-12;
        assert!(config.targets.iter().all(there), "{name}");
    }
}

#[test]
fn every_module_keeps_its_rank_and_its_scaling() {
    let shape = base().config().shape;
    let layers = LoraLayers::from([
        ("layers.0.query".to_owned(), of_shape(16, 16, 2, 1.0, 1)),
        ("layers.0.key".to_owned(), of_shape(16, 16, 2, 1.0, 1)),
        ("layers.1.ffn_up".to_owned(), of_shape(32, 16, 3, 0.5, 2)),
        ("layers.1.query".to_owned(), of_shape(16, 16, 2, -2.0, 2)),
        ("pooler".to_owned(), of_shape(16, 16, 1, 1.0, 3)),
        ("embeddings.word".to_owned(), of_shape(shape.hidden_size, shape.vocab_size, 2, 1.0, 4)),
    ]);
    let written = lora_tensors(&layers, &shape).expect("tensors");
    assert_eq!((written.config.r, written.config.lora_alpha), (2, 2.0));
    let patterns = written.config.patterns.iter().map(|p| (p.module.to_string(), p.r, p.lora_alpha));
    let expected = [("layers.1.ffn_up".to_owned(), 3, 1.5), ("pooler".to_owned(), 1, 1.0)];
    let mut patterns: Vec<_> = patterns.collect();
    patterns.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(patterns, expected);
    assert_eq!(written.slots.len(), 12);
    let method = Method::Lora(written.config);
    let back = lora_layers(&method, &written.slots, &tiny("")).expect("a LoRA");
    assert_eq!(back.keys().collect::<Vec<_>>(), layers.keys().collect::<Vec<_>>());
    for (layer, factors) in &back {
        assert!(distance(&delta(factors), &delta(&layers[layer])) < 1e-6, "{layer}");
    }
}

#[test]
fn a_lora_that_is_more_than_a_sum_on_a_weight_is_refused_with_the_reason() {
    let shape = base().config().shape;
    let layers = LoraLayers::from([("layers.0.query".to_owned(), of_shape(16, 16, 2, 1.0, 1))]);
    let written = lora_tensors(&layers, &shape).expect("tensors");
    let plain = written.config.clone();
    let refused = |config: LoraConfig| {
        let method = Method::Lora(config);
        lora_layers(&method, &written.slots, &tiny("")).expect_err("is refused").to_string()
    };
    assert!(
        refused(LoraConfig { dora: Some(Dora::Scaled), ..plain.clone() }).contains("DoRA scales the rows")
    );
    assert!(
        refused(LoraConfig { use_gating: true, ..plain.clone() }).contains("its gate depends on the input")
    );
    assert!(refused(LoraConfig { lora_bias: true, ..plain.clone() }).contains("its `B` has a bias"));
    let both = vec![Method::Lora(plain.clone()), Method::LastLayer];
    let method = Method::Union(UnionConfig { parts: both });
    let refused = lora_layers(&method, &written.slots, &tiny("")).expect_err("is refused").to_string();
    assert!(refused.contains("brings other changes"), "{refused}");
    // What only training uses is no obstacle.
    let dropout = Method::Lora(LoraConfig { lora_dropout: 0.1, use_rslora: true, ..plain });
    let read = lora_layers(&dropout, &written.slots, &tiny("")).expect("a LoRA");
    assert!((read["layers.0.query"].scaling() - 2.0_f64.sqrt()).abs() < 1e-12);
}

#[test]
fn layers_that_the_backbone_lacks_and_other_methods_are_refused() {
    let shape = base().config().shape;
    for name in ["layers.2.query", "layers.0.router", "query", "layers.0.ffn.norm"] {
        let layers = LoraLayers::from([(name.to_owned(), of_shape(16, 16, 2, 1.0, 1))]);
        assert!(matches!(lora_tensors(&layers, &shape), Err(MergeError::NoModule(_))), "{name}");
    }
    let layers = LoraLayers::from([("layers.0.query".to_owned(), of_shape(16, 15, 2, 1.0, 1))]);
    assert!(matches!(lora_tensors(&layers, &shape), Err(MergeError::Shape { .. })));
    let layers = LoraLayers::from([
        ("layers.0.query".to_owned(), of_shape(16, 16, 2, 1e40, 1).with_unit_scaling()),
        ("layers.0.key".to_owned(), of_shape(16, 16, 2, 1.0, 1)),
    ]);
    assert!(matches!(lora_tensors(&layers, &shape), Err(MergeError::NotFinite { .. })));

    let folder = AdapterFolder::open(&tiny("adapters-pfeiffer").join("adapter")).expect("opens");
    let slots = folder.read_slots(&shape).expect("reads");
    let refused = lora_layers(&folder.method, &slots, &folder.path).expect_err("is refused").to_string();
    assert!(refused.ends_with("only a LoRA is a sum on a weight"), "{refused}");

    // What is refused there can still be averaged.
    let half = average_tensors(&[(&slots, 1.0), (&slots, 3.0)], Normalise::ToOne).expect("averages");
    assert_eq!(half, slots);
    let mut fewer = slots.clone();
    fewer.pop_first();
    let refused = average_tensors(&[(&slots, 1.0), (&fewer, 1.0)], Normalise::ToOne).expect_err("differ");
    assert!(refused.to_string().starts_with("adapter 2 lacks `"), "{refused}");
}
