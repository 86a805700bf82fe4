//! Prefix tuning: learned keys and values in front of every attention's own.
//!
//! Li & Liang, "Prefix-Tuning: Optimizing Continuous Prompts for Generation" (2021).
//! Either one flat vector, or the output of a small network (*reparameterised*).
//! Layout of the vector: `[prefix_length, 2 · layers, heads of keys, width of a head]`, keys
//! of layer `i` at `2 i`, values at `2 i + 1`. Field names follow `PrefixTuningConfig`
//! of `adapters`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Activation, MethodError, MethodSpec, spec};
use crate::{
    backbone::BackboneShape,
    layout::{Place, Slot},
};

/// Configuration of a prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the switches in which the libraries differ")]
pub struct PrefixConfig {
    /// Number of keys and values per layer.
    pub prefix_length: usize,
    /// Inner width of the network that computes the prefix; absent for a flat prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck_size: Option<usize>,
    /// Inside the network.
    #[serde(default = "tanh")]
    pub non_linearity: Activation,
    /// Probability of dropping an element of the prefix in training.
    #[serde(default)]
    pub dropout: f64,
    /// Layers without a prefix.
    #[serde(default)]
    pub leave_out: Vec<usize>,
    /// A learned gate per example scales the prefix.
    #[serde(default)]
    pub use_gating: bool,
    /// One gate for keys and values together.
    #[serde(default = "yes")]
    pub shared_gating: bool,
    /// The input's positions are counted from behind the prefix, as PEFT does.
    #[serde(default)]
    pub shifts_positions: bool,
    /// Segments of the input are not looked at, as PEFT does when it extracts features.
    #[serde(default)]
    pub drops_token_types: bool,
}

const fn tanh() -> Activation {
    Activation::Tanh
}
const fn yes() -> bool {
    true
}

impl PrefixConfig {
    /// A flat prefix in every layer.
    pub const fn flat(prefix_length: usize) -> Self {
        Self {
            prefix_length,
            bottleneck_size: None,
            non_linearity: Activation::Tanh,
            dropout: 0.0,
            leave_out: Vec::new(),
            use_gating: false,
            shared_gating: true,
            shifts_positions: false,
            drops_token_types: false,
        }
    }

    /// The adapted layers, in order: the `i`-th of them has keys at `2 i`.
    pub fn layers(&self, shape: &BackboneShape) -> Vec<usize> {
        (0..shape.num_layers).filter(|layer| !self.leave_out.contains(layer)).collect()
    }
}

impl MethodSpec for PrefixConfig {
    fn kind(&self) -> &'static str {
        "prefix"
    }

    fn summary(&self) -> String {
        match self.bottleneck_size {
            None => format!("prefix {}", self.prefix_length),
            Some(size) => format!("prefix {} through {size}", self.prefix_length),
        }
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::within("prefix_length", self.prefix_length, 1..=1 << 16, "it must lie between 1 and 65536")?;
        if let Some(size) = self.bottleneck_size {
            spec::within("bottleneck_size", size, 1..=1 << 16, "it must lie between 1 and 65536")?;
        }
        spec::dropout("dropout", self.dropout)?;
        spec::within("leave_out", self.layers(shape).len(), 1.., "at least one layer must have a prefix")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let (h, layers) = (shape.hidden_size, self.layers(shape));
        let width = 2 * layers.len() * shape.kv_width();
        let mut slots = Vec::new();
        let mut push = |place, part: &str, dims: &[usize]| slots.push(Slot::new(place, part, dims));
        match self.bottleneck_size {
            None => push(Place::Shared, "prefix", &[self.prefix_length, width]),
            Some(inner) => {
                push(Place::Shared, "prefix.embedding", &[self.prefix_length, h]);
                push(Place::Shared, "prefix.down.weight", &[inner, h]);
                push(Place::Shared, "prefix.down.bias", &[inner]);
                push(Place::Shared, "prefix.up.weight", &[width, inner]);
                push(Place::Shared, "prefix.up.bias", &[width]);
            }
        }
        if self.use_gating {
            let gates = if self.shared_gating { 1 } else { 2 };
            for layer in layers {
                push(Place::SelfAttention { layer }, "gate.weight", &[gates, h]);
                push(Place::SelfAttention { layer }, "gate.bias", &[gates]);
            }
        }
        slots
    }
}
