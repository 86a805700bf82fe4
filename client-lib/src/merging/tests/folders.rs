//! Adapters in folders as factors, and back.

use hub_schemas::{backbone::LinearSite, method::Method};

use super::{
    super::{Factors, LoraLayers, MergeError, Normalise, average_tensors, lora_layers, lora_tensors},
    baking::{base, tiny},
    delta, distance, noise,
};
use crate::checkpoint::AdapterFolder;

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
        assert!(layers.values().all(|f| (f.scaling() - config.scaling()).abs() < 1e-15), "{name}");

        // Written again, the tensors are the same.
        let written = lora_tensors(&layers, &shape).expect("tensors");
        for (slot, tensor) in &written.slots {
            assert_eq!(tensor, &slots[slot], "{name}: {slot}");
        }
        assert!((written.config.scaling() - config.scaling()).abs() < 1e-12, "{name}");
    }
}

#[test]
fn what_one_configuration_can_not_say_is_filled_up_with_zeros() {
    let shape = base().config().shape;
    let layers = LoraLayers::from([
        ("layers.0.query".to_owned(), of_shape(16, 16, 2, 1.0, 1)),
        ("layers.1.ffn_up".to_owned(), of_shape(32, 16, 3, 0.5, 2)),
    ]);
    let written = lora_tensors(&layers, &shape).expect("tensors");
    assert_eq!((written.config.r, written.config.lora_alpha), (3, 3.0));
    assert_eq!(written.config.targets, [LinearSite::Query, LinearSite::FfnUp]);
    assert_eq!(written.config.layers, None);
    assert_eq!(written.slots.len(), 8);
    let method = Method::Lora(written.config);
    let back = lora_layers(&method, &written.slots, &tiny("")).expect("a LoRA");
    for (layer, factors) in &back {
        match layers.get(layer) {
            Some(original) => assert!(distance(&delta(factors), &delta(original)) < 1e-6, "{layer}"),
            None => assert!(delta(factors).norm() < 1e-300, "{layer}"),
        }
    }
    let one = LoraLayers::from([("layers.1.key".to_owned(), of_shape(16, 16, 2, 0.5, 1))]);
    let written = lora_tensors(&one, &shape).expect("tensors");
    assert_eq!((written.config.layers, written.config.lora_alpha), (Some(vec![1]), 1.0));
}

#[test]
fn layers_that_the_backbone_lacks_and_other_methods_are_refused() {
    let shape = base().config().shape;
    for name in ["layers.2.query", "layers.0.router", "query"] {
        let layers = LoraLayers::from([(name.to_owned(), of_shape(16, 16, 2, 1.0, 1))]);
        assert!(matches!(lora_tensors(&layers, &shape), Err(MergeError::Missing { .. })), "{name}");
    }
    let layers = LoraLayers::from([("layers.0.query".to_owned(), of_shape(16, 15, 2, 1.0, 1))]);
    assert!(matches!(lora_tensors(&layers, &shape), Err(MergeError::Shape { .. })));
    let layers = LoraLayers::from([
        ("layers.0.query".to_owned(), of_shape(16, 16, 2, 1e40, 1)),
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
