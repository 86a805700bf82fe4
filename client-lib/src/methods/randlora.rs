//! `RandLoRA` (Albert et al. 2025): `y + α / r · B Σ A x`, `A` and `B` random, frozen and shared by all layers, cut to
//! each layer's size. Equal to PEFT 0.21.
//!
//! Row `(i, n)` of the narrow factor is `λ[i, n] · A[i] ⊙ γ[n]`, column `(n, i)` of the wide one `B[:, n, i]`: PEFT
//! flattens them in these two orders. Whichever side of a layer is narrow gets the narrow factor.

use std::collections::{BTreeMap, btree_map::Entry};

use candle_core::{Result, Tensor};
use hub_schemas::{backbone::BackboneShape, layout::Slot, method::RandLoraConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// What one layer combines.
#[derive(Debug)]
pub(super) struct Combination {
    /// `A [r, 1, narrow]`
    a: Tensor,
    /// `B [wide, n · r]`
    b: Tensor,
    /// `λ [r, n]`
    lambda: Tensor,
    /// `γ [n, narrow]`
    gamma: Tensor,
    narrows_input: bool,
    scaling: f64,
}

pub(super) fn load(
    config: &RandLoraConfig,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Combination>> {
    let (a, b) = (take(tensors, "shared.randlora_a")?, take(tensors, "shared.randlora_b")?);
    // Layers of one size share what is cut out for them.
    let mut cut = BTreeMap::new();
    for module in config.targets.iter() {
        let bases = config.bases(shape.module_dims(module));
        if let Entry::Vacant(entry) = cut.entry((bases.narrow, bases.wide)) {
            let b = b.narrow(0, 0, bases.wide)?.narrow(1, 0, bases.count)?.contiguous()?;
            let b = b.reshape((bases.wide, bases.count * config.r))?;
            entry.insert((a.narrow(2, 0, bases.narrow)?.contiguous()?, b));
        }
    }
    let layers = at_each(config.targets.iter(), |module| {
        let (inputs, outputs) = shape.module_dims(module);
        let bases = config.bases((inputs, outputs));
        let (a, b) = cut[&(bases.narrow, bases.wide)].clone();
        Ok(Combination {
            a,
            b,
            lambda: take(tensors, &format!("{module}.randlora_lambda"))?,
            gamma: take(tensors, &format!("{module}.randlora_gamma"))?,
            narrows_input: inputs <= outputs,
            scaling: config.randlora_alpha / config.r as f64,
        })
    })?;
    Ok(Additive { layers, dropout: config.dropout, salt })
}

impl Delta for Combination {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let (r, n) = self.lambda.dims2()?;
        let narrow =
            self.lambda.unsqueeze(2)?.broadcast_mul(&self.a)?.broadcast_mul(&self.gamma.unsqueeze(0)?)?;
        let narrow = narrow.reshape((r * n, ()))?;
        let y = if self.narrows_input {
            linear(&linear(x, &narrow, None)?, &self.b, None)?
        } else {
            linear(&linear(x, &self.b.t()?, None)?, &narrow.t()?, None)?
        };
        y * self.scaling
    }
}

/// `λ` starts at zero: a fresh adapter changes nothing. PEFT's random matrices are uniform with variance one.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "randlora_a" | "randlora_b" => Initialiser::Uniform { bound: 3f64.sqrt() },
        "randlora_gamma" => {
            Initialiser::Constant(1.0 / slot.shape.iter().copied().max().unwrap_or(1).max(1) as f32)
        }
        _ => Initialiser::Constant(0.0),
    }
}
