//! Prefix tuning: learned keys and values in front of every attention's own.
//!
//! Li & Liang, "Prefix-Tuning: Optimizing Continuous Prompts for Generation" (2021).
//! Either one flat vector, or the output of a small network (*reparameterised*).
//! Layout of the vector: `[prefix_length, 2 · layers, heads of keys, width of a head]`, keys
//! of layer `i` at `2 i`, values at `2 i + 1`. Field names follow `PrefixTuningConfig`
//! of `adapters`.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Activation, MethodError, MethodSpec, spec};
use crate::{
    backbone::{Architecture, BackboneShape, SubLayer},
    head::is_true,
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
    /// Whether an encoder in front of a decoder has prefixes too; PEFT's are the decoder's only.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub encoder_prefix: bool,
    /// Whether a decoder's attention to an encoder has prefixes too.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub cross_prefix: bool,
}

/// The attentions that have a prefix, with a network, in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixGroup {
    /// Of a backbone's tokens to themselves; behind an encoder, of the decoder's.
    Own,
    /// Of the tokens of an encoder in front of a decoder.
    Encoder,
    /// Of a decoder's tokens to an encoder's.
    Cross,
}

impl PrefixGroup {
    /// Every group.
    pub const ALL: [Self; 3] = [Self::Own, Self::Encoder, Self::Cross];

    /// What the names of its slots begin with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "prefix",
            Self::Encoder => "encoder_prefix",
            Self::Cross => "cross_prefix",
        }
    }

    /// The attention of a block that it stands at.
    pub const fn sublayer(self) -> SubLayer {
        match self {
            Self::Own | Self::Encoder => SubLayer::Attention,
            Self::Cross => SubLayer::CrossAttention,
        }
    }

    /// Where the slots of a block's prefix are.
    pub const fn place(self, layer: usize) -> Place {
        match self {
            Self::Own | Self::Encoder => Place::SelfAttention { layer },
            Self::Cross => Place::CrossAttention { layer },
        }
    }
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
            encoder_prefix: true,
            cross_prefix: true,
        }
    }

    /// The prefix as the library has it that has prefixes for a backbone: `adapters` but for decoders of texts, where it has
    /// none or hides them. There it is PEFT's: the decoder's own tokens are counted from behind it, and an encoder has
    /// none.
    #[must_use]
    pub fn of_library(self, architecture: Architecture, shape: &BackboneShape) -> Self {
        let is_of_peft = match shape.decoder_layers {
            None => architecture.is_decoder(),
            Some(layers) => architecture.is_bart() && has_pairs(layers, shape),
        };
        if !is_of_peft {
            return self;
        }
        let encoder = shape.decoder_layers.is_none();
        Self { shifts_positions: true, encoder_prefix: encoder, cross_prefix: encoder, ..self }
    }

    /// Which of the stored pairs of keys and values the `i`-th of `layers` adapted layers has. PEFT 0.21.2 doubles the
    /// prefix of a decoder behind an encoder for the attention to the encoder, drops what falls to that, and so
    /// comes to every other pair, twice.
    pub fn pair(&self, i: usize, layers: usize, shape: &BackboneShape) -> usize {
        if self.is_doubled(shape) { 2 * i % self.pairs(layers, shape) } else { i }
    }

    /// How many pairs of keys and values are stored for `layers` adapted layers: PEFT counts an encoder's layers for the
    /// decoder behind it.
    fn pairs(&self, layers: usize, shape: &BackboneShape) -> usize {
        if self.is_doubled(shape) { shape.encoder_layers() } else { layers }
    }

    const fn is_doubled(&self, shape: &BackboneShape) -> bool {
        self.shifts_positions && shape.decoder_layers.is_some()
    }

    /// The attentions that have prefixes, with their adapted layers in order: the `i`-th of them has keys at
    /// `2 i`.
    pub fn groups(&self, shape: &BackboneShape) -> Vec<(PrefixGroup, Vec<usize>)> {
        let among = |layers: Range<usize>| layers.filter(|layer| !self.leave_out.contains(layer)).collect();
        let first = shape.encoder_layers();
        if shape.decoder_layers.is_none() {
            return vec![(PrefixGroup::Own, among(0..first))];
        }
        let decoder = first..shape.num_layers;
        let mut groups = vec![(PrefixGroup::Own, among(decoder.clone()))];
        if self.encoder_prefix {
            groups.insert(0, (PrefixGroup::Encoder, among(0..first)));
        }
        if self.cross_prefix {
            groups.push((PrefixGroup::Cross, among(decoder)));
        }
        groups.retain(|(_, layers): &(PrefixGroup, Vec<usize>)| !layers.is_empty());
        groups
    }
}

/// Whether PEFT stores enough pairs for so many layers of a decoder behind an encoder, whose layers it counts.
fn has_pairs(layers: usize, shape: &BackboneShape) -> bool {
    layers <= shape.encoder_layers()
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
        let decoder = shape.decoder_layers.filter(|_| self.is_doubled(shape));
        if let Some(layers) = decoder.filter(|&layers| !has_pairs(layers, shape)) {
            return Err(MethodError::Field {
                field: "num_layers",
                found: format!("{} for {layers} layers of a decoder", shape.encoder_layers()),
                expected: "PEFT's prefixes need an encoder with as many layers as the decoder".to_owned(),
            });
        }
        spec::within("leave_out", self.groups(shape).len(), 1.., "at least one layer must have a prefix")
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let h = shape.hidden_size;
        let mut slots = Vec::new();
        for (group, layers) in self.groups(shape) {
            let width = 2 * self.pairs(layers.len(), shape) * shape.kv_width();
            let mut push = |part: &str, dims: &[usize]| {
                slots.push(Slot::new(Place::Shared, &format!("{}{part}", group.as_str()), dims));
            };
            match self.bottleneck_size {
                None => push("", &[self.prefix_length, width]),
                Some(inner) => {
                    push(".embedding", &[self.prefix_length, h]);
                    push(".down.weight", &[inner, h]);
                    push(".down.bias", &[inner]);
                    push(".up.weight", &[width, inner]);
                    push(".up.bias", &[width]);
                }
            }
            let gates = if self.shared_gating { 1 } else { 2 };
            for layer in layers.into_iter().filter(|_| self.use_gating) {
                let place = group.place(layer);
                slots.push(Slot::new(place, "gate.weight", &[gates, h]));
                slots.push(Slot::new(place, "gate.bias", &[gates]));
            }
        }
        slots
    }
}
