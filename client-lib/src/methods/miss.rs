//! `MiSS` (Kang & Yin 2024): `y + Dᵀ Σᵢ xᵢ`, `xᵢ [r]` the shards of the input, the last one filled up with zeros.
//! Equal to PEFT 0.21.
//!
//! Bat, which depends on the weight: every block `W_oi [r, r]` becomes `W_oi + W_oi D_o + D_o`.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::method::{MissConfig, MissForm};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// `D` of one layer: `[r, out]`, `[r, rows]` or `[out / r, r, r]`.
#[derive(Debug)]
pub(super) struct Shard {
    matrix: Tensor,
    form: MissForm,
}

pub(super) fn load(
    config: &MissConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Shard>> {
    let layers = at_each(config.targets.iter(), |module| {
        Ok(Shard { matrix: take(tensors, &format!("{module}.miss_block"))?, form: config.form })
    })?;
    // Bat has no place for dropout.
    let dropout = if config.form == MissForm::Bat { 0.0 } else { config.dropout };
    Ok(Additive { layers, dropout, salt })
}

/// The sum of the shards of `x [b, t, in]`: `[b, t, r]`.
fn folded(x: &Tensor, r: usize) -> Result<Tensor> {
    let (b, t, width) = x.dims3()?;
    let missing = width.next_multiple_of(r) - width;
    let x = if missing > 0 { x.pad_with_zeros(D::Minus1, 0, missing)? } else { x.clone() };
    x.reshape((b, t, (), r))?.sum(2)
}

/// `ΔW [out, in]` of Bat: `W_oi D_o + D_o` in every block.
fn blockwise(weight: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let (rows, r, _) = matrix.dims3()?;
    let columns = inputs / r;
    // A row of blocks lies as [r, columns, r]: with all of them in a column one product does.
    let products = weight.reshape((rows, r * columns, r))?.matmul(matrix)?;
    let repeated = matrix.unsqueeze(2)?.broadcast_as((rows, r, columns, r))?.contiguous()?;
    (products.reshape((outputs, inputs))? + repeated.reshape((outputs, inputs))?)?.contiguous()
}

impl Delta for Shard {
    fn delta(&self, x: &Tensor, at: &LinearInput<'_>) -> Result<Tensor> {
        let outputs = at.linear.outputs()?;
        match self.form {
            MissForm::Bat => linear(x, &blockwise(&at.linear.weight()?, &self.matrix)?, None),
            MissForm::Shared | MissForm::Mini(_) => {
                let matrix = self.matrix.repeat((1, outputs / self.matrix.dim(1)?))?;
                linear(&folded(x, self.matrix.dim(0)?)?, &matrix.t()?, None)
            }
        }
    }
}

/// The matrix starts at zero: a fresh adapter changes nothing.
pub(super) fn initialiser() -> Initialiser {
    Initialiser::Constant(0.0)
}
