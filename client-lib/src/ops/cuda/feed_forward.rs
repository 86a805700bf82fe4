//! Feed-forward networks, whole and their second half. In a whole one what stands between the layers is in the precision
//! of the weights, and the first layers' biases are added where it is read.

use candle_core::{CudaDevice, CudaStorage, Result, Shape, Tensor, cuda_backend::CudaDType};
use half::bf16;
use hub_kernels::cuda::{self, Inner, Number, Slice, View};

use super::{
    Arg, finished,
    frozen_linear::{
        add_gradient_of, gradient_of, input_gradient, is_half, outer, product_of, product_without_bias,
        rounded,
    },
    tensor, view, with_view_of, with_views,
};
use crate::ops::{activation::Fused, feed_forward::Op, frozen_linear::FrozenLinear};

pub(in crate::ops) fn forward_whole(op: &Op, x: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let device = &x.0.device;
    let shape = outer(&op.down, &outer(&op.up, x.1.dims())?)?;
    let x = view(x, "feed-forward")?;
    let y = if is_half(&op.up)? {
        whole::<bf16>(op, &rounded(device, &x, op.input)?.as_view(), device)?
    } else {
        whole::<f32>(op, &x, device)?
    };
    Ok(finished(y, device, shape))
}

/// `W φ(V x)`, or `W (φ(G x) ⊙ V x)`, of rows in the precision of the weights.
fn whole<T: Number + CudaDType>(op: &Op, x: &View<'_, T>, device: &CudaDevice) -> Result<Slice<f32>> {
    let f = op.fused.function();
    let x = (x, op.input);
    let up = product_without_bias(&op.up, x, device)?;
    let gate = op.gate.as_ref().map(|gate| product_without_bias(gate, x, device)).transpose()?;
    let middle: Slice<T> = with_biases(op, |of_up, of_gate| {
        let inner = Inner { rows: &up.as_view(), bias: of_up };
        match &gate {
            Some(gate) => cuda::gated(device, f, [Inner { rows: &gate.as_view(), bias: of_gate }, inner]),
            None => cuda::map(device, f, inner),
        }
    })?;
    let y = product_of(&op.down, &middle.as_view(), device)?;
    if op.keeps {
        let (inner, inputs) = op.up.dims()?;
        let shape = (x.0.len() / inputs.max(1), inner);
        let kept = |numbers| tensor::<T>(numbers, device, shape);
        let all = (gate.map(kept), kept(up));
        op.kept.get_or_init(|| all);
    }
    Ok(y)
}

/// Calls `take` with the biases of the first layers: `V`'s, and where there is a gate `G`'s.
fn with_biases<R>(
    op: &Op,
    take: impl FnOnce(Option<&View<'_, f32>>, Option<&View<'_, f32>>) -> Result<R>,
) -> Result<R> {
    match (op.up.bias(), op.gate.as_ref().and_then(FrozenLinear::bias)) {
        (Some(up), Some(gate)) => with_views([up, gate], |_, [up, gate]| take(Some(up), Some(gate))),
        (Some(up), None) => with_views([up], |_, [up]| take(Some(up), None)),
        (None, Some(gate)) => with_views([gate], |_, [gate]| take(None, Some(gate))),
        (None, None) => take(None, None),
    }
}

pub(in crate::ops) fn backward_whole(op: &Op, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    with_views([grad], |device, [grad]| {
        let dx = if is_half(&op.up)? {
            whole_gradient::<bf16>(op, &cuda::to_bf16(device, grad)?.as_view(), device)?
        } else {
            whole_gradient::<f32>(op, grad, device)?
        };
        Ok(tensor(dx, device, x.shape()))
    })
}

/// The input's gradient for that of the output, in the precision of the weights.
fn whole_gradient<T: Number + CudaDType>(
    op: &Op,
    grad: &View<'_, T>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    let f = op.fused.function();
    let middle = gradient_of::<T, T>(&op.down, grad, device)?;
    let middle = middle.as_view();
    let (gate, up) = op.inner()?;
    with_biases(op, |of_up, of_gate| {
        with_view_of::<T, _>(up, |up| {
            let up = Inner { rows: up, bias: of_up };
            let (Some(gate), Some(layer)) = (gate, &op.gate) else {
                let of_up = cuda::map_backward(device, f, up, &middle)?;
                return gradient_of::<T, f32>(&op.up, &of_up.as_view(), device);
            };
            let [of_gate, of_up] = with_view_of::<T, _>(gate, |gate| {
                cuda::gated_backward(device, f, [Inner { rows: gate, bias: of_gate }, up], &middle)
            })?;
            let mut dx = gradient_of::<T, f32>(&op.up, &of_up.as_view(), device)?;
            add_gradient_of(layer, &of_gate.as_view(), &mut dx, device)?;
            Ok(dx)
        })
    })
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
        Some(gate) => cuda::gated(device, f.function(), [gate, up].map(Inner::whole)),
        None => cuda::map(device, f.function(), Inner::whole(up)),
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
        let du = cuda::map_backward(device, f.function(), Inner::whole(own), &inner.as_view())?;
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
        let both = [of_gate, of_up].map(Inner::whole);
        let both = cuda::gated_backward(device, f.function(), both, &inner.as_view())?;
        Ok(both.map(|gradient| tensor(gradient, device, up.shape())))
    })
}
