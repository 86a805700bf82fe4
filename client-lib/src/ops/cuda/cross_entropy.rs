//! The cross-entropy of rows of scores.

use candle_core::{CudaDevice, CudaStorage, Result, Shape, Tensor, cuda_backend::WrapErr as _};
use hub_kernels::cuda::{self, Slice};

use super::{Arg, finished, tensor, view, with_views};

pub(in crate::ops) fn forward(labels: &[u32], scores: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let device = &scores.0.device;
    let classes = scores.1.dims().last().copied().unwrap_or(0);
    let labels = there(device, labels)?;
    let losses = cuda::cross_entropy(device, classes, &view(scores, "cross-entropy")?, &labels.as_view())?;
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
        let labels = there(device, labels)?;
        let dx = cuda::cross_entropy_backward(device, classes, own, &labels.as_view(), [losses, grad])?;
        Ok(tensor(dx, device, scores.shape()))
    })
}

fn there(device: &CudaDevice, labels: &[u32]) -> Result<Slice<u32>> {
    device.cuda_stream().clone_htod(labels).w()
}
