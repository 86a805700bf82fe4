//! `LoKr` (Edalati et al. 2022): `ΔW = alpha / r · W₁ ⊗ W₂`. Equal to PEFT 0.21.
//!
//! The product is never built: with `x` as a matrix `X [m, n]`, `(W₁ ⊗ W₂) x = W₁ X W₂ᵀ`.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{backbone::Module, layout::Slot, method::LokrConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// Both factors of one layer.
#[derive(Debug)]
pub(super) struct Kronecker {
    small: Factor,
    large: Factor,
    scaling: f64,
}

/// `[rows, columns]`, or a product of rank `r`.
#[derive(Debug)]
enum Factor {
    Whole(Tensor),
    Product(Tensor, Tensor),
}

impl Factor {
    fn take(tensors: &BTreeMap<String, Tensor>, module: Module, name: &str) -> Result<Self> {
        let slot = format!("{module}.{name}");
        match tensors.get(&slot) {
            Some(whole) => Ok(Self::Whole(whole.clone())),
            None => {
                Ok(Self::Product(take(tensors, &format!("{slot}_a"))?, take(tensors, &format!("{slot}_b"))?))
            }
        }
    }

    fn value(&self) -> Result<Tensor> {
        match self {
            Self::Whole(whole) => Ok(whole.clone()),
            Self::Product(a, b) => a.matmul(b),
        }
    }
}

pub(super) fn load(
    config: &LokrConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Kronecker>> {
    let layers = at_each(config.targets.iter(), |module| {
        Ok(Kronecker {
            small: Factor::take(tensors, module, "lokr_w1")?,
            large: Factor::take(tensors, module, "lokr_w2")?,
            scaling: config.rank_and_scaling(module).1,
        })
    })?;
    Ok(Additive { layers, dropout: 0.0, salt })
}

impl Delta for Kronecker {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let (small, large) = ((self.small.value()? * self.scaling)?, self.large.value()?);
        let ((l, m), (k, n)) = (small.dims2()?, large.dims2()?);
        let (b, t, _) = x.dims3()?;
        let inner = linear(&x.reshape((b * t, m, n))?, &large, None)?;
        let outer = linear(&inner.transpose(1, 2)?.contiguous()?, &small, None)?;
        debug_assert_eq!(outer.dim(D::Minus1)?, l);
        outer.transpose(1, 2)?.contiguous()?.reshape((b, t, l * k))
    }
}

/// As PEFT: the small factor starts at zero.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "lokr_w1" | "lokr_w1_a" => Initialiser::Constant(0.0),
        _ => Initialiser::KaimingUniform,
    }
}
