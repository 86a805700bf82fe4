//! Feed-forward networks, whole and their second half.

use candle_core::{CudaDevice, CudaStorage, Result, Shape, Tensor, cuda_backend::CudaDType};
use half::bf16;
use hub_kernels::cuda::{self, Number, Slice};

use super::{
    Arg, finished,
    frozen_linear::{add_input_gradient, input_gradient, is_half, outer, product, product_of},
    tensor, view, with_views,
};
use crate::ops::{activation::Fused, feed_forward::Op, frozen_linear::FrozenLinear};

pub(in crate::ops) fn forward_whole(op: &Op, x: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let device = &x.0.device;
    let shape = outer(&op.up, x.1.dims())?;
    let [shape, inner] = [outer(&op.down, &shape)?, shape];
    let x = view(x, "feed-forward")?;
    let up = product(&op.up, &x, device)?;
    let gate = op.gate.as_ref().map(|gate| product(gate, &x, device)).transpose()?;
    let y = if is_half(&op.down)? {
        second::<bf16>(op, gate.as_ref(), &up, device)?
    } else {
        second::<f32>(op, gate.as_ref(), &up, device)?
    };
    if op.keeps {
        let kept = |numbers| tensor(numbers, device, inner.clone());
        let all = (gate.map(kept), kept(up));
        op.kept.get_or_init(|| all);
    }
    Ok(finished(y, device, shape))
}

/// The second layer of a network, on what the first ones give.
fn second<T: Number + CudaDType>(
    op: &Op,
    gate: Option<&Slice<f32>>,
    up: &Slice<f32>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    let (f, up) = (op.fused.function(), up.as_view());
    let middle = match gate {
        Some(gate) => cuda::gated::<T>(device, f, &gate.as_view(), &up)?,
        None => cuda::map::<T>(device, f, &up)?,
    };
    product_of::<T>(&op.down, &middle.as_view(), device)
}

pub(in crate::ops) fn backward_whole(op: &Op, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let f = op.fused.function();
    let middle = with_views([grad], |device, [grad]| input_gradient(&op.down, grad, device))?;
    let middle = middle.as_view();
    match (op.inner()?, &op.gate) {
        ((Some(gate), up), Some(layer)) => with_views([gate, up], |device, both| {
            let [of_gate, of_up] = cuda::gated_backward(device, f, both, &middle)?;
            let mut dx = input_gradient(&op.up, &of_up.as_view(), device)?;
            add_input_gradient(layer, &of_gate.as_view(), &mut dx, device)?;
            Ok(tensor(dx, device, x.shape()))
        }),
        ((_, up), _) => with_views([up], |device, [up]| {
            let of_up = cuda::map_backward(device, f, up, &middle)?;
            Ok(tensor(input_gradient(&op.up, &of_up.as_view(), device)?, device, x.shape()))
        }),
    }
}

pub(in crate::ops) fn forward(layer: &FrozenLinear, f: Fused, up: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let (device, f) = (&up.0.device, f.function());
    let shape = outer(layer, up.1.dims())?;
    let up = view(up, "activated-linear")?;
    let y = if is_half(layer)? {
        product_of::<bf16>(layer, &cuda::map(device, f, &up)?.as_view(), device)?
    } else {
        product_of::<f32>(layer, &cuda::map(device, f, &up)?.as_view(), device)?
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
    let y = if is_half(layer)? {
        product_of::<bf16>(layer, &cuda::gated(device, f, &gate, &up)?.as_view(), device)?
    } else {
        product_of::<f32>(layer, &cuda::gated(device, f, &gate, &up)?.as_view(), device)?
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
