//! `AdaLoRA` (Zhang et al. 2023): `y + alpha / r · B diag(e) A x`.
//!
//! Equal to PEFT 0.21, which divides by the rank before pruning plus 1e-5.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{layout::Slot, method::AdaLoraConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{init::Initialiser, ops::linear};

/// `A [r, in]`, `e [r, 1]`, `B [out, r]`.
#[derive(Debug)]
pub(super) struct Triplet {
    a: Tensor,
    b: Tensor,
    e: Tensor,
    scaling: f64,
}

pub(super) fn load(
    config: &AdaLoraConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Triplet>> {
    // A layer that kept no singular value adds nothing.
    let kept = config.targets.iter().filter(|&module| config.rank(module) > 0);
    let layers = at_each(kept, |module| {
        let part = |name: &str| take(tensors, &format!("{module}.{name}"));
        Ok(Triplet { a: part("ada_a")?, b: part("ada_b")?, e: part("ada_e")?, scaling: config.scaling() })
    })?;
    Ok(Additive { layers, dropout: config.lora_dropout, salt })
}

impl Delta for Triplet {
    fn delta(&self, x: &Tensor) -> Result<Tensor> {
        let narrow = linear(x, &self.a.broadcast_mul(&self.e)?, None)?;
        linear(&(narrow * self.scaling)?, &self.b, None)
    }
}

/// Singular values start at zero: a fresh adapter changes nothing.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "ada_e" => Initialiser::Constant(0.0),
        _ => Initialiser::Normal { std: 0.02 },
    }
}
