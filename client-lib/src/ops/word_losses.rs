//! The cross-entropy of every row of products with a frozen table, `l_i = log Σ_j exp z_ij − z_iy` with `z_i = W x_i + b`,
//! and `∂l_i/∂x_i = (softmax(z_i) − e_y) W`.
//!
//! The scores of all words would be the largest tensors of a language model's step. They are computed for some rows at
//! a time and become the gradient of these rows at once (Hsu et al., "Liger Kernel", 2024), so that nothing is computed
//! twice and only `[n, h]` is kept.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use hub_kernels::vectorised;
use rayon::prelude::*;

use super::{
    FrozenLinear, by_dtype,
    cross_entropy::log_sum,
    cross_entropy_rows,
    element::Element,
    frozen_linear::{input_gradient, product, storage_dtype},
    is_fused, slice_of, tape,
};

/// Scores that are there at the same time: 64 MB in single precision.
const SCORES: usize = 1 << 24;

/// The losses `[n]` of states `[n, h]` whose scores are their products with `table`, against words `labels`, one for
/// each row.
pub fn word_losses(states: &Tensor, table: &FrozenLinear, labels: &[u32]) -> Result<Tensor> {
    let ((rows, width), (words, inputs)) = (states.dims2()?, table.dims()?);
    if rows != labels.len() || width != inputs || labels.iter().any(|&label| label as usize >= words) {
        candle_core::bail!(
            "word-losses: {} labels for states {:?} and a table [{words}, {inputs}], or one of them is no word",
            labels.len(),
            states.shape()
        )
    }
    if is_fused(states) && states.device().is_cpu() && rows > 0 {
        let op =
            Op { table: table.clone(), labels: labels.to_vec(), at_once: SCORES, gradient: OnceLock::new() };
        return tape::apply1(op, &states.contiguous()?);
    }
    cross_entropy_rows(&table.forward(states)?, labels)
}

struct Op {
    table: FrozenLinear,
    labels: Vec<u32>,
    /// Scores that are there at the same time.
    at_once: usize,
    /// Of every row's loss to its states, `[n, h]`.
    gradient: OnceLock<Tensor>,
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "word-losses"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "word-losses", forward(self, storage, layout))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        match self.gradient.get() {
            Some(gradient) => gradient.broadcast_mul(&grad.unsqueeze(1)?).map(Some),
            None => candle_core::bail!("word-losses: a backward without its forward"),
        }
    }
}

fn forward<T: Element>(op: &Op, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let states = slice_of::<T>(storage, layout, "word-losses")?;
    let (words, width) = op.table.dims()?;
    let rows = (op.at_once / words).max(1);
    let (mut losses, mut gradient) = (Vec::with_capacity(op.labels.len()), Vec::with_capacity(states.len()));
    for (states, labels) in states.chunks(rows * width).zip(op.labels.chunks(rows)) {
        let mut scores = product(&op.table, states, labels.len())?;
        let each = scores.par_chunks_exact_mut(words).zip(labels);
        losses.par_extend(each.map(|(row, &label)| to_gradient(row, label as usize)));
        gradient.extend(input_gradient(&op.table, &scores)?);
    }
    // Nobody else has seen this operation yet.
    let _ = op.gradient.set(Tensor::from_vec(gradient, layout.dims(), &Device::Cpu)?);
    let shape = Shape::from(losses.len());
    Ok((T::to_cpu_storage_owned(losses), shape))
}

/// The loss of a row of scores, which becomes `softmax(z) − e_y`.
fn to_gradient<T: Element>(row: &mut [T], label: usize) -> T {
    let norm = log_sum(row);
    let loss = norm - row[label];
    vectorised(
        #[inline(always)]
        || row.iter_mut().for_each(|z| *z = (*z - norm).exp_fast()),
    );
    row[label] -= T::one();
    loss
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};

    use super::*;

    fn random(shape: (usize, usize), dtype: DType) -> Tensor {
        Tensor::randn(0.0_f64, 1.0, shape, &Device::Cpu).and_then(|t| t.to_dtype(dtype)).expect("numbers")
    }

    /// Losses and the gradient of their weighted sum.
    fn both(states: &Var, losses: &Tensor) -> [Vec<f64>; 2] {
        let weights = Tensor::arange(1_u32, losses.dims()[0] as u32 + 1, &Device::Cpu);
        let weights = weights.and_then(|w| w.to_dtype(losses.dtype())).expect("weights");
        let sum = (losses * weights).and_then(|l| l.sum_all()).expect("a sum");
        let gradient = sum.backward().expect("backward");
        let gradient = gradient.get(states).expect("a gradient").flatten_all().expect("flat");
        [losses.clone(), gradient].map(|t| t.to_dtype(DType::F64).and_then(|t| t.to_vec1()).expect("numbers"))
    }

    #[test]
    fn losses_and_gradients_are_those_of_scores_that_are_kept() {
        for (dtype, bar) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            let states = Var::from_tensor(&random((7, 6), dtype)).expect("states");
            let (table, bias) = (random((33, 6), dtype), random((1, 33), dtype).squeeze(0).expect("a bias"));
            let table = FrozenLinear::new(table, Some(bias)).expect("a table");
            let labels = [4, 0, 32, 7, 7, 1, 12];
            let scores = table.forward(&states).expect("scores");
            let expected = both(&states, &cross_entropy_rows(&scores, &labels).expect("losses"));
            // One row at a time, some, and all.
            for at_once in [1, 3 * 33, SCORES] {
                let op =
                    Op { table: table.clone(), labels: labels.to_vec(), at_once, gradient: OnceLock::new() };
                let found = both(&states, &states.apply_op1(op).expect("losses"));
                for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                    assert!((found - expected).abs() < bar, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (states, table) = (random((2, 6), DType::F32), random((5, 6), DType::F32));
        let table = FrozenLinear::new(table, None).expect("a table");
        for labels in [&[0, 5][..], &[1]] {
            assert!(word_losses(&states, &table, labels).is_err(), "{labels:?}");
        }
    }
}
