//! The cross-entropy of every row of scores: `l_i = log Σ_j exp z_ij − z_iy`, and `∂l_i/∂z_ij = softmax(z_i)_j − [j = y]`.
//!
//! One kernel each way. With the vocabulary of a language model the intermediate results of the composition would be
//! the largest tensors of a step.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use hub_kernels::vectorised;
use rayon::prelude::*;

use super::{
    by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, lanes, largest, slice_of, tape,
    with_slice,
};

/// The losses `[n]` of scores `[n, c]` against classes `labels`, one for each row.
pub fn cross_entropy_rows(scores: &Tensor, labels: &[u32]) -> Result<Tensor> {
    let (rows, classes) = scores.dims2()?;
    if rows != labels.len() || labels.iter().any(|&label| label as usize >= classes) {
        candle_core::bail!(
            "cross-entropy: {} labels for scores {:?}, or one of them is no class",
            labels.len(),
            scores.shape()
        )
    }
    if is_fused(scores) && rows > 0 {
        return tape::apply1(Op { labels: labels.to_vec(), classes }, &scores.contiguous()?);
    }
    composed(scores, &Tensor::new(labels, scores.device())?)
}

/// The same in candle's operations, the labels on the device of the scores. The maximum is a constant to the gradient.
pub(crate) fn composed(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let shifted = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    (log_sum - shifted.gather(&labels.unsqueeze(1)?, 1)?)?.squeeze(1)
}

struct Op {
    labels: Vec<u32>,
    classes: usize,
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "cross-entropy", forward(self, storage, layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::cuda::cross_entropy::forward(&self.labels, (storage, layout))
    }

    fn bwd(&self, scores: &Tensor, losses: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::cross_entropy::backward(&self.labels, scores, losses, grad).map(Some);
        }
        by_dtype!(grad.dtype(), "cross-entropy", backward(self, scores, losses, grad)).map(Some)
    }
}

fn forward<T: Element>(op: &Op, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let scores = slice_of::<T>(storage, layout, "cross-entropy")?;
    let rows = scores.par_chunks_exact(op.classes).zip(&op.labels);
    let losses: Vec<T> = rows.map(|(row, &label)| log_sum(row) - row[label as usize]).collect();
    let shape = Shape::from(losses.len());
    Ok((T::to_cpu_storage_owned(losses), shape))
}

fn backward<T: Element>(op: &Op, scores: &Tensor, losses: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let mut out = vec![T::zero(); scores.elem_count()];
    with_slice::<T, _>(scores, |scores| {
        with_slice::<T, _>(losses, |losses| {
            with_slice::<T, _>(grad, |grad| {
                let rows = out.par_chunks_exact_mut(op.classes).zip(scores.par_chunks_exact(op.classes));
                rows.enumerate().for_each(|(i, (out, row))| {
                    let label = op.labels[i] as usize;
                    let norm = losses[i] + row[label];
                    share_into(out, row, norm, grad[i]);
                    out[label] -= grad[i];
                });
                Ok(())
            })
        })
    })?;
    Tensor::from_vec(out, scores.shape(), scores.device())
}

/// `log Σ_j exp z_j`, from the maximum on, so that no exponential overflows.
pub(super) fn log_sum<T: Element>(row: &[T]) -> T {
    vectorised(
        #[inline(always)]
        || {
            let max = largest(row);
            max + lanes(row, |z| (z - max).exp_fast()).ln()
        },
    )
}

/// `exp(z − norm) · g`.
fn share_into<T: Element>(out: &mut [T], row: &[T], norm: T, g: T) {
    vectorised(
        #[inline(always)]
        || {
            for (out, &z) in out.iter_mut().zip(row) {
                *out = (z - norm).exp_fast() * g;
            }
        },
    );
}
