//! The slots of every method: names and shapes inside the project.

use super::{BackboneShape, LinearSite, Method, SubLayer};
use crate::method::{BottleneckConfig, LoraConfig};

/// A named tensor inside the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name, such as `layers.3.query.lora_a`.
    pub name: String,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
}

impl Slot {
    fn new(name: String, shape: &[usize]) -> Self {
        Self { name, shape: shape.to_vec() }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The trainable tensors of `method` on a backbone of this shape, in the order of computation.
pub fn method_slots(method: &Method, shape: &BackboneShape) -> Vec<Slot> {
    match method {
        Method::Bottleneck(config) => bottleneck_slots(config, shape),
        Method::Lora(config) => lora_slots(config, shape),
        Method::LastLayer => Vec::new(),
    }
}

fn bottleneck_slots(config: &BottleneckConfig, shape: &BackboneShape) -> Vec<Slot> {
    let h = shape.hidden_size;
    let d = config.bottleneck_size(h);
    let mut slots = Vec::new();
    for layer in 0..shape.num_layers {
        for sublayer in SubLayer::ALL.into_iter().filter(|&s| config.is_at(layer, s)) {
            let at = format!("layers.{layer}.{}", sublayer.as_str());
            let mut push = |part: &str, dims: &[usize]| slots.push(Slot::new(format!("{at}.{part}"), dims));
            if config.ln_before {
                push("norm_before.weight", &[h]);
                push("norm_before.bias", &[h]);
            }
            push("down.weight", &[d, h]);
            push("down.bias", &[d]);
            push("up.weight", &[h, d]);
            push("up.bias", &[h]);
            if config.use_gating {
                push("gate.weight", &[1, h]);
                push("gate.bias", &[1]);
            }
            if config.ln_after {
                push("norm_after.weight", &[h]);
                push("norm_after.bias", &[h]);
            }
        }
    }
    slots
}

fn lora_slots(config: &LoraConfig, shape: &BackboneShape) -> Vec<Slot> {
    let mut slots = Vec::new();
    for layer in 0..shape.num_layers {
        for site in LinearSite::ALL.into_iter().filter(|&s| config.is_at(layer, s)) {
            let (inputs, outputs) = shape.linear_dims(site);
            let at = format!("layers.{layer}.{site}");
            slots.push(Slot::new(format!("{at}.lora_a"), &[config.r, inputs]));
            slots.push(Slot::new(format!("{at}.lora_b"), &[outputs, config.r]));
        }
    }
    slots
}
