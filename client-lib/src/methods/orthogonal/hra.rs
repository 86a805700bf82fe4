//! HRA (Yuan et al. 2024): `y = W H₁ ⋯ Hᵣ x + b`, `Hᵢ = I − 2 uᵢ uᵢᵀ / ‖uᵢ‖²`. Equal to PEFT 0.21.
//!
//! With orthonormal directions the product is `I − 2 U Uᵀ`.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{layout::Slot, method::HraConfig};

use super::{
    super::{
        on_linears::{Transform, Transforming, at_each},
        take,
    },
    columns::gram_schmidt,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// Directions `[in, r]` of one layer.
#[derive(Debug)]
pub(in crate::methods) struct Reflections {
    directions: Tensor,
    gram_schmidt: bool,
}

pub(in crate::methods) fn load(
    config: &HraConfig,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Transforming<Reflections>> {
    let layers = at_each(config.targets.iter(), |module| {
        let directions = take(tensors, &format!("{module}.hra_u"))?;
        Ok(Reflections { directions, gram_schmidt: config.gram_schmidt })
    })?;
    Ok(Transforming(layers))
}

impl Transform for Reflections {
    fn transform(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        let reflected = |x: &Tensor, directions: &Tensor| -> Result<Tensor> {
            let along = linear(x, &directions.t()?, None)?;
            x - (linear(&along, directions, None)? * 2.0)?
        };
        if self.gram_schmidt {
            return at.linear.forward(&reflected(at.x, &gram_schmidt(&self.directions)?)?);
        }
        let lengths = self.directions.sqr()?.sum_keepdim(0)?.sqrt()?;
        let units = self.directions.broadcast_div(&lengths)?;
        // The last one stands next to the input.
        let step = |x, index| reflected(&x, &units.narrow(D::Minus1, index, 1)?.contiguous()?);
        at.linear.forward(&(0..units.dim(1)?).rev().try_fold(at.x.clone(), step)?)
    }
}

/// As PEFT: an even number of directions in equal pairs, whose reflections undo each other.
pub(in crate::methods) fn initialiser(slot: &Slot) -> Initialiser {
    match slot.shape.last() {
        Some(&r) if r > 0 && r.is_multiple_of(2) => {
            Initialiser::UniformPairs { bound: 1.0 / (r as f64 / 2.0).sqrt() }
        }
        _ => Initialiser::KaimingUniform,
    }
}
