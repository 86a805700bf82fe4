//! Feed-forward networks, whole and their second half.

use candle_core::{CudaDevice, CudaStorage, Result, Shape, Tensor};
use half::bf16;
use hub_kernels::cuda::{self, Number, Slice, View};

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
    let views = (gate.as_ref().map(Slice::as_view), up.as_view());
    let y = second(&op.down, op.fused, (views.0.as_ref(), &views.1), device)?;
    if op.keeps {
        let kept = |numbers| tensor(numbers, device, inner.clone());
        let all = (gate.map(kept), kept(up));
        op.kept.get_or_init(|| all);
    }
    Ok(finished(y, device, shape))
}

/// `W φ(u)`, or `W (φ(g) ⊙ u)` with a gate, what stands between in the precision of the weight.
fn second(
    layer: &FrozenLinear,
    f: Fused,
    inner: (Option<&View<'_, f32>>, &View<'_, f32>),
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    if is_half(layer)? {
        product_of::<bf16>(layer, &middle(f, inner, device)?.as_view(), device)
    } else {
        product_of::<f32>(layer, &middle(f, inner, device)?.as_view(), device)
    }
}

/// `φ(u)`, or `φ(g) ⊙ u`.
fn middle<T: Number>(
    f: Fused,
    (gate, up): (Option<&View<'_, f32>>, &View<'_, f32>),
    device: &CudaDevice,
) -> Result<Slice<T>> {
    match gate {
        Some(gate) => cuda::gated(device, f.function(), gate, up),
        None => cuda::map(device, f.function(), up),
    }
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
    let (device, shape) = (&up.0.device, outer(layer, up.1.dims())?);
    let y = second(layer, f, (None, &view(up, "activated-linear")?), device)?;
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
    let (device, shape) = (&up.0.device, outer(layer, up.1.dims())?);
    let (gate, up) = (view(gate, "gated-linear")?, view(up, "gated-linear")?);
    let y = second(layer, f, (Some(&gate), &up), device)?;
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
