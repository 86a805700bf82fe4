//! `LoHa` (Hyeon-Woo et al. 2022): `ΔW = alpha / r · (A₁ B₁) ⊙ (A₂ B₂)`. Equal to PEFT 0.21.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{layout::Slot, method::LohaConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// Both products: `A [out, r]`, `B [r, in]`.
#[derive(Debug)]
pub(super) struct Products {
    first: (Tensor, Tensor),
    second: (Tensor, Tensor),
    scaling: f64,
}

pub(super) fn load(
    config: &LohaConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Products>> {
    let layers = at_each(config.targets.iter(), |module| {
        let part = |name: &str| take(tensors, &format!("{module}.{name}"));
        Ok(Products {
            first: (part("hada_w1_a")?, part("hada_w1_b")?),
            second: (part("hada_w2_a")?, part("hada_w2_b")?),
            scaling: config.rank_and_scaling(module).1,
        })
    })?;
    Ok(Additive { layers, dropout: 0.0, salt })
}

impl Delta for Products {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let product = |(a, b): &(Tensor, Tensor)| a.matmul(b);
        let weight = ((product(&self.first)? * product(&self.second)?)? * self.scaling)?;
        linear(x, &weight, None)
    }
}

/// As PEFT: `A₂` starts at zero, the others at N(0, 1) and N(0, 0.1²).
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "hada_w1_a" => Initialiser::Normal { std: 0.1 },
        "hada_w2_a" => Initialiser::Constant(0.0),
        _ => Initialiser::Normal { std: 1.0 },
    }
}
