//! The Hadamard adapter (Chen et al. 2023): `A′ = w ⊙ A + b` at every self-attention, with
//! trained copies of the norms that follow.
//!
//! Behind the output projection `w ⊙ (W x + c) + b`; before it `W (w ⊙ x + b) + c`.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, Module},
    layout::Slot,
    method::{HadamardConfig, HadamardPosition},
};

use super::{Adapter, take};
use crate::{backbones::LinearInput, init::Initialiser};

/// The vectors of every adapted layer, and its norms.
#[derive(Debug)]
pub(super) struct Hadamard {
    position: HadamardPosition,
    layers: BTreeMap<Module, Vectors>,
    /// By canonical name.
    norms: BTreeMap<String, Tensor>,
}

/// `w [h]` and `b [h]`.
#[derive(Debug)]
struct Vectors {
    weight: Tensor,
    bias: Tensor,
}

impl Vectors {
    /// `x [.., h]` to `w ⊙ x + b`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

impl Hadamard {
    pub(super) fn new(
        config: &HadamardConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let vectors = |module: Module| {
            let weight = take(tensors, &format!("{module}.hadamard.weight"))?;
            Ok((module, Vectors { weight, bias: take(tensors, &format!("{module}.hadamard.bias"))? }))
        };
        let mut norms = BTreeMap::new();
        for module in config.norm_modules(shape) {
            for part in ["weight", "bias"] {
                norms
                    .insert(format!("{module}.{part}"), take(tensors, &format!("{module}.replaced.{part}"))?);
            }
        }
        let layers = config.modules(shape).into_iter().map(vectors).collect::<Result<_>>()?;
        Ok(Self { position: config.position, layers, norms })
    }
}

impl Adapter for Hadamard {
    fn replaced(&self, name: &str) -> Option<&Tensor> {
        self.norms.get(name)
    }

    fn is_at(&self, module: Module) -> bool {
        self.layers.contains_key(&module)
    }

    fn transforms(&self, module: Module) -> bool {
        self.is_at(module)
    }

    fn transform(&self, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        let Some(vectors) = self.layers.get(&at.module) else { return Ok(None) };
        let y = match self.position {
            HadamardPosition::Context => at.linear.forward(&vectors.forward(at.x)?)?,
            HadamardPosition::AttentionOutput => vectors.forward(&at.linear.forward(at.x)?)?,
        };
        Ok(Some(y))
    }
}

/// The identity: `w = 1`, `b = 0`.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    Initialiser::Constant(if slot.part.ends_with("weight") { 1.0 } else { 0.0 })
}
