//! `DeLoRA` (Bini et al. 2025): `y + λ / r · Σᵢ bᵢ aᵢᵀ (n ⊙ x) / (‖aᵢ‖ ‖bᵢ‖)`. Equal to PEFT 0.21.
//!
//! `n [in]` holds the norms of the frozen weight's columns, as they were when the adapter was made: the file has them.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{layout::Slot, method::DeloraConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// The shortest length that a direction is divided by.
const SHORTEST: f64 = 1e-4;

/// `A [r, in]`, `B [out, r]`, `λ [1]` and `n [in]` of one layer.
#[derive(Debug)]
pub(super) struct Directions {
    a: Tensor,
    b: Tensor,
    lambda: Tensor,
    column_norms: Tensor,
}

pub(super) fn load(
    config: &DeloraConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Directions>> {
    let layers = at_each(config.targets.iter(), |module| {
        let part = |name: &str| take(tensors, &format!("{module}.{name}"));
        Ok(Directions {
            a: part("delora_a")?,
            b: part("delora_b")?,
            lambda: part("delora_lambda")?,
            column_norms: part("delora_w_norm")?,
        })
    })?;
    Ok(Additive { layers, dropout: config.dropout, salt })
}

/// The lengths of rows (`dim` 1) or columns (`dim` 0), none below [`SHORTEST`].
fn lengths(matrix: &Tensor, dim: usize) -> Result<Tensor> {
    let squares = matrix.sqr()?.sum(dim)?;
    let shortest = (squares.ones_like()? * SHORTEST.powi(2))?;
    // Chosen before the root is taken, which has no derivative at zero.
    squares.gt(&shortest)?.where_cond(&squares, &shortest)?.sqrt()
}

impl Delta for Directions {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let lengths = (lengths(&self.a, 1)? * lengths(&self.b, 0)?)?;
        let scales = lengths.recip()?.broadcast_mul(&(&self.lambda / self.a.dim(0)? as f64)?)?;
        let narrow = linear(&x.broadcast_mul(&self.column_norms)?, &self.a, None)?;
        linear(&narrow.broadcast_mul(&scales)?, &self.b, None)
    }
}

/// `B` starts at zero: a fresh adapter changes nothing. The norms are the backbone's.
pub(super) fn initialiser(config: &DeloraConfig, slot: &Slot) -> Initialiser {
    match slot.part.as_str() {
        "delora_a" => Initialiser::KaimingUniform,
        "delora_lambda" => Initialiser::Constant(config.delora_lambda as f32),
        _ => Initialiser::Constant(0.0),
    }
}
