//! The second half of a feed-forward network.

use candle_core::{CudaDevice, CudaStorage, Result, Shape, Tensor};
use half::bf16;
use hub_kernels::cuda;

use super::{
    Arg, finished,
    frozen_linear::{input_gradient, is_half, outer, product_of},
    tensor, view, with_views,
};
use crate::ops::{activation::Fused, frozen_linear::FrozenLinear};

pub(in crate::ops) fn forward(layer: &FrozenLinear, f: Fused, up: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let (device, f) = (&up.0.device, f.function());
    let shape = outer(layer, up.1.dims())?;
    let up = view(up, "activated-linear")?;
    let y = match is_half(layer)? {
        true => product_of::<bf16>(layer, &cuda::map(device, f, &up)?.as_view(), device)?,
        false => product_of::<f32>(layer, &cuda::map(device, f, &up)?.as_view(), device)?,
    };
    Ok(finished(y, device, shape))
}

pub(in crate::ops) fn backward(layer: &FrozenLinear, f: Fused, up: &Tensor, grad: &Tensor) -> Result<Tensor> {
    with_views([up, grad], |device, [own, grad]| {
        let inner = input_gradient(layer, grad, device)?;
        let du = cuda::map_backward(device, f.function(), own, &inner.as_view())?;
        Ok(tensor(du, device, up.shape()))
    })
}

pub(in crate::ops) fn forward_gated(
    layer: &FrozenLinear,
    f: Fused,
    gate: Arg<'_>,
    up: Arg<'_>,
) -> Result<(CudaStorage, Shape)> {
    let (device, f): (&CudaDevice, _) = (&up.0.device, f.function());
    let shape = outer(layer, up.1.dims())?;
    let (gate, up) = (view(gate, "gated-linear")?, view(up, "gated-linear")?);
    let y = match is_half(layer)? {
        true => product_of::<bf16>(layer, &cuda::gated(device, f, &gate, &up)?.as_view(), device)?,
        false => product_of::<f32>(layer, &cuda::gated(device, f, &gate, &up)?.as_view(), device)?,
    };
    Ok(finished(y, device, shape))
}

pub(in crate::ops) fn backward_gated(
    layer: &FrozenLinear,
    f: Fused,
    [gate, up]: [&Tensor; 2],
    grad: &Tensor,
) -> Result<[Tensor; 2]> {
    with_views([gate, up, grad], |device, [of_gate, of_up, grad]| {
        let inner = input_gradient(layer, grad, device)?;
        let both = cuda::gated_backward(device, f.function(), [of_gate, of_up], &inner.as_view())?;
        Ok(both.map(|gradient| tensor(gradient, device, up.shape())))
    })
}
