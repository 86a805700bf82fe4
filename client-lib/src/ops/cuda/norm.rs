//! Norms of the last dimension.

use candle_core::{CudaStorage, Result, Shape, Tensor};
use hub_kernels::cuda;

use super::{Arg, finished, tensor, view, with_views};
use crate::ops::norm::Norm;

pub(in crate::ops) fn forward(
    norm: &Norm,
    x: Arg<'_>,
    residual: Option<Arg<'_>>,
) -> Result<(CudaStorage, Shape)> {
    let (own, device) = (view(x, "layer-norm")?, &x.0.device);
    let residual = residual.map(|residual| view(residual, "layer-norm")).transpose()?;
    norm.check_width(x.1.shape(), own.len(), residual.as_ref().map(cuda::View::len))?;
    let y = with_views(norm.affine(), |device, affine| {
        cuda::norm(device, norm.sizes(), &own, residual.as_ref(), affine)
    })?;
    Ok(finished(y, device, x.1.shape()))
}

pub(in crate::ops) fn backward(
    norm: &Norm,
    x: &Tensor,
    residual: Option<&Tensor>,
    grad: &Tensor,
) -> Result<Tensor> {
    let [gamma, _] = norm.affine();
    // Where there is no residual the third is not looked at.
    with_views([x, grad, residual.unwrap_or(x), gamma], |device, [own, grad, other, gamma]| {
        let other = residual.is_some().then_some(other);
        let dx = cuda::norm_backward(device, norm.sizes(), own, other, gamma, grad)?;
        Ok(tensor(dx, device, x.shape()))
    })
}
