//! Norms of the last dimension.

use candle_core::{CudaStorage, Result, Shape, Tensor};
use hub_kernels::cuda::{self, NormSizes};

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

pub(in crate::ops) fn forward_trained(
    sizes: NormSizes,
    [x, gain, bias]: [Arg<'_>; 3],
) -> Result<(CudaStorage, Shape)> {
    let (own, device) = (view(x, "trained-norm")?, &x.0.device);
    let affine = [&view(gain, "trained-norm")?, &view(bias, "trained-norm")?];
    Ok(finished(cuda::norm(device, sizes, &own, None, affine)?, device, x.1.shape()))
}

pub(in crate::ops) fn backward_trained(
    sizes: NormSizes,
    [x, gain, bias]: [&Tensor; 3],
    grad: &Tensor,
) -> Result<[Option<Tensor>; 3]> {
    with_views([x, gain, grad], |device, [own, gamma, grad]| {
        let dx = x.track_op().then(|| {
            let dx = cuda::norm_backward(device, sizes, own, None, gamma, grad)?;
            Ok(tensor(dx, device, x.shape()))
        });
        let of_gain = gain.track_op().then(|| {
            let products = cuda::norm_products(device, sizes, own, grad)?;
            let sums = cuda::column_sums(device, &products.as_view(), sizes.width)?;
            Ok(tensor(sums, device, gain.shape()))
        });
        let of_bias = bias.track_op();
        let of_bias =
            of_bias.then(|| Ok(tensor(cuda::column_sums(device, grad, sizes.width)?, device, bias.shape())));
        let all: [Option<Result<Tensor>>; 3] = [dx, of_gain, of_bias];
        let [dx, of_gain, of_bias] = all.map(Option::transpose);
        Ok([dx?, of_gain?, of_bias?])
    })
}
