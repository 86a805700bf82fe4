//! The cross-entropy of rows of scores.

use candle_core::{CudaStorage, Result, Shape, Tensor};
use hub_kernels::cuda::{self, Labels};

use super::{Arg, finished, tensor, view, with_views};

pub(in crate::ops) fn forward(labels: &[u32], scores: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let device = &scores.0.device;
    let classes = scores.1.dims().last().copied().unwrap_or(0);
    let there = Labels::new(device, labels, classes)?;
    let losses = cuda::cross_entropy(device, &view(scores, "cross-entropy")?, &there)?;
    Ok(finished(losses, device, labels.len()))
}

pub(in crate::ops) fn backward(
    labels: &[u32],
    scores: &Tensor,
    losses: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let classes = scores.dim(1)?;
    with_views([scores, losses, grad], |device, [own, losses, grad]| {
        let labels = Labels::new(device, labels, classes)?;
        let dx = cuda::cross_entropy_backward(device, own, &labels, [losses, grad])?;
        Ok(tensor(dx, device, scores.shape()))
    })
}
