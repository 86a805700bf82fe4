//! Prefix tuning (Li & Liang 2021): learned keys and values in front of every attention's.
//!
//! The prefix is one tensor `[length, 2 · layers · w]` for keys of width `w`: those of the
//! `i`-th adapted layer in columns `2 i w ..`, values in the next `w`. Reparameterised it is
//! `W₂ φ(W₁ E + b₁) + b₂` of an embedding `E [length, h]`. Not the identity at the start.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, SubLayer},
    layout::Slot,
    method::{Activation, PrefixConfig, PrefixGroup},
};

use super::{
    Adapter, PrefixStates,
    affine::Affine,
    gate::{Gate, GateMean},
    take,
};
use crate::{backbones::AttentionInput, init::Initialiser, ops::activate};

/// The prefixes of every adapted layer.
#[derive(Debug)]
pub(super) struct Prefix {
    groups: Vec<Group>,
    /// Of all keys, or all values, of a token.
    width: usize,
    dropout: f64,
    offset: usize,
    drops_token_types: bool,
    salt: u64,
}

/// The prefixes of one kind of attention.
#[derive(Debug)]
struct Group {
    sublayer: SubLayer,
    source: Source,
    /// Adapted layer to its pair of keys and values.
    order: BTreeMap<usize, usize>,
    gates: BTreeMap<usize, Gate>,
}

impl Group {
    fn new(
        config: &PrefixConfig,
        shape: &BackboneShape,
        (group, layers): (PrefixGroup, Vec<usize>),
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
    ) -> Result<Self> {
        let at = format!("shared.{}", group.as_str());
        let source = Source::take(config, &at, tensors)?;
        let gate = |&layer: &usize| Ok((layer, Gate::take(tensors, &group.place(layer).to_string(), mean)?));
        let gates =
            if config.use_gating { layers.iter().map(gate).collect::<Result<_>>()? } else { BTreeMap::new() };
        let count = layers.len();
        let pairs = layers.into_iter().enumerate();
        let order = pairs.map(|(i, layer)| (layer, config.pair(i, count, shape))).collect();
        Ok(Self { sublayer: group.sublayer(), source, order, gates })
    }
}

#[derive(Debug)]
enum Source {
    Flat(Tensor),
    Network { embedding: Tensor, down: Affine, up: Affine, activation: Activation },
}

impl Source {
    /// The prefix whose tensors' names begin with `at`.
    fn take(config: &PrefixConfig, at: &str, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        Ok(match config.bottleneck_size {
            None => Self::Flat(take(tensors, at)?),
            Some(_) => Self::Network {
                embedding: take(tensors, &format!("{at}.embedding"))?,
                down: Affine::take(tensors, &format!("{at}.down"))?,
                up: Affine::take(tensors, &format!("{at}.up"))?,
                activation: config.non_linearity,
            },
        })
    }

    /// Every column, `[length, 2 · pairs · w]`.
    fn all(&self) -> Result<Tensor> {
        match self {
            Self::Flat(prefix) => Ok(prefix.clone()),
            Self::Network { embedding, down, up, activation } => {
                up.linear(&activate(&down.linear(embedding)?, *activation)?)
            }
        }
    }

    /// Columns `start .. start + len` of the prefix, `[length, len]`: nothing is computed for
    /// the other layers.
    fn columns(&self, start: usize, len: usize) -> Result<Tensor> {
        match self {
            Self::Flat(prefix) => prefix.narrow(D::Minus1, start, len),
            Self::Network { embedding, down, up, activation } => {
                up.outputs(&activate(&down.linear(embedding)?, *activation)?, start, len)
            }
        }
    }
}

/// Whether its network ends with the training: PEFT saves what it gives (`prefix_projection`).
pub(super) const fn folds(config: &PrefixConfig) -> bool {
    config.shifts_positions && config.bottleneck_size.is_some()
}

/// A prefix without the network that made it, and its keys and values `[length, 2 · pairs · w]`.
pub(super) fn folded(
    config: &PrefixConfig,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<(PrefixConfig, BTreeMap<String, Tensor>)> {
    let whole = |(group, _): (PrefixGroup, _)| {
        let at = format!("shared.{}", group.as_str());
        let states = Source::take(config, &at, tensors)?.all()?.detach();
        Ok((at, states))
    };
    let own = config.groups(shape).into_iter().map(whole).collect::<Result<_>>()?;
    Ok((PrefixConfig { bottleneck_size: None, ..config.clone() }, own))
}

impl Prefix {
    pub(super) fn new(
        config: &PrefixConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
        salt: u64,
    ) -> Result<Self> {
        let offset = if config.shifts_positions { config.prefix_length } else { 0 };
        let groups = config.groups(shape).into_iter();
        Ok(Self {
            groups: groups
                .map(|group| Group::new(config, shape, group, tensors, mean))
                .collect::<Result<_>>()?,
            width: shape.kv_width(),
            dropout: config.dropout,
            offset,
            drops_token_types: config.drops_token_types,
            salt,
        })
    }
}

impl Adapter for Prefix {
    fn drops_token_types(&self) -> bool {
        self.drops_token_types
    }

    fn position_offset(&self) -> usize {
        self.offset
    }

    fn is_at_attention(&self, layer: usize) -> bool {
        self.groups.iter().any(|group| group.order.contains_key(&layer))
    }

    fn prefix(&self, at: &AttentionInput<'_>) -> Result<Option<PrefixStates>> {
        let is_here = |group: &Group| {
            let index = group.order.get(&at.layer).filter(|_| group.sublayer == at.sublayer);
            index.copied()
        };
        let mut found = self.groups.iter().enumerate();
        let Some((number, group, index)) =
            found.find_map(|(number, group)| Some((number as u64, group, is_here(group)?)))
        else {
            return Ok(None);
        };
        let rows = at.x.dim(0)?;
        let both = group.source.columns(2 * index * self.width, 2 * self.width)?;
        let part = |side: usize| {
            let own = both.narrow(D::Minus1, side * self.width, self.width)?;
            let states = own.unsqueeze(0)?.broadcast_as((rows, own.dim(0)?, self.width))?.contiguous()?;
            let site = self.salt << 32 | 2 << 24 | number << 16 | (2 * index + side) as u64;
            at.context.mode.dropout(&states, self.dropout, site)
        };
        let (mut keys, mut values) = (part(0)?, part(1)?);
        if let Some(gate) = group.gates.get(&at.layer) {
            // One gate for both, or the first for keys and the last for values.
            let open = gate.open(at.x, at.context)?;
            let last = open.dim(2)? - 1;
            keys = keys.broadcast_mul(&open.narrow(2, 0, 1)?)?;
            values = values.broadcast_mul(&open.narrow(2, last, 1)?)?;
        }
        Ok(Some(PrefixStates { keys, values }))
    }
}

/// PyTorch's defaults for an embedding and for linear layers.
pub(super) fn initialiser(slot: &Slot, config: &PrefixConfig) -> Initialiser {
    let part = slot.part.trim_start_matches("encoder_").trim_start_matches("cross_");
    match part {
        "prefix" | "prefix.embedding" => Initialiser::Normal { std: 1.0 },
        "prefix.up.bias" => {
            Initialiser::Uniform { bound: 1.0 / (config.bottleneck_size.unwrap_or(1) as f64).sqrt() }
        }
        "gate.weight" => Initialiser::Normal { std: 0.02 },
        "gate.bias" | "prefix.down.bias" => Initialiser::Constant(0.0),
        _ => Initialiser::KaimingUniform,
    }
}
