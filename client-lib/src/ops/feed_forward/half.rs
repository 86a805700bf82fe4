//! The second half of a feed-forward network as one operation: `W φ(u)`, or `W (φ(g) ⊙ u)` with a gate (Shazeer
//! 2020), where nothing changes the layer behind the non-linearity.
//!
//! What stands between them, four times as wide as a hidden state in most models, is neither kept nor needed in the
//! backward: the weight is frozen.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use hub_kernels::vectorised;
use hub_schemas::method::Activation;
use rayon::prelude::*;

use super::super::{
    Arg, activate,
    activation::{CHUNK, Fused, mapped, scale_all, scale_by_derivative},
    by_dtype,
    element::Element,
    frozen_linear::{FrozenLinear, finished, input_gradient, product, storage_dtype},
    is_fused, slice_of, tape, with_slice,
};

/// `W φ(up) + b`; `up [.., in]` to `[.., out]`.
pub fn activated(layer: &FrozenLinear, up: &Tensor, activation: Activation) -> Result<Tensor> {
    match Fused::of(activation) {
        Some(fused) if is_fused(up) => tape::apply1(Op { layer: layer.clone(), fused }, &up.contiguous()?),
        _ => layer.forward(&activate(up, activation)?),
    }
}

/// `W (φ(gate) ⊙ up) + b`; both `[.., in]`, to `[.., out]`.
pub fn gated(layer: &FrozenLinear, gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    match Fused::of(activation) {
        Some(fused) if is_fused(up) && gate.dims() == up.dims() => {
            tape::apply2(Op { layer: layer.clone(), fused }, [&gate.contiguous()?, &up.contiguous()?])
        }
        _ => layer.forward(&(activate(gate, activation)? * up)?),
    }
}

struct Op {
    layer: FrozenLinear,
    fused: Fused,
}

impl Op {
    fn product<T: Element>(&self, inner: &[T], shape: Vec<usize>) -> Result<(CpuStorage, Shape)> {
        let (outputs, inputs) = self.layer.dims()?;
        if shape.last() != Some(&inputs) {
            candle_core::bail!("feed-forward: {inputs} inputs expected, the tensor is {shape:?}");
        }
        let y = product(&self.layer, inner, inner.len() / inputs.max(1))?;
        Ok(finished(y, shape, outputs))
    }
}

impl Op {
    fn gradients(&self, both: [&Tensor; 2], grad: &Tensor) -> Result<[Tensor; 2]> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return crate::ops::cuda::feed_forward::backward_gated(&self.layer, self.fused, both, grad);
        }
        by_dtype!(grad.dtype(), "gated-linear", backward_gated(self, both, grad))
    }
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "activated-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "activated-linear", forward(self, (storage, layout)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        crate::ops::cuda::feed_forward::forward(&self.layer, self.fused, (storage, layout))
    }

    fn bwd(&self, up: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return crate::ops::cuda::feed_forward::backward(&self.layer, self.fused, up, grad).map(Some);
        }
        by_dtype!(grad.dtype(), "activated-linear", backward(self, up, grad)).map(Some)
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "gated-linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(s1), "gated-linear", forward_gated(self, (s1, l1), (s2, l2)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        crate::ops::cuda::feed_forward::forward_gated(&self.layer, self.fused, (s1, l1), (s2, l2))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [of_gate, of_up] = self.gradients([gate, up], grad)?;
        Ok((gate.track_op().then_some(of_gate), up.track_op().then_some(of_up)))
    }
}

fn forward<T: Element>(op: &Op, up: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    op.product(&mapped(op.fused, slice_of::<T>(up.0, up.1, "activated-linear")?), up.1.dims().to_vec())
}

/// `∂u = (∂y W) ⊙ φ′(u)`
fn backward<T: Element>(op: &Op, up: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let mut du = with_slice::<T, _>(grad, |g| input_gradient(&op.layer, g))?;
    with_slice::<T, _>(up, |up| {
        scale_all(op.fused, up, &mut du);
        Ok(())
    })?;
    Tensor::from_vec(du, up.shape(), up.device())
}

fn forward_gated<T: Element>(op: &Op, gate: Arg<'_>, up: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    let mut inner = mapped(op.fused, slice_of::<T>(gate.0, gate.1, "gated-linear")?);
    let ups = slice_of::<T>(up.0, up.1, "gated-linear")?;
    inner.par_chunks_mut(CHUNK).zip(ups.par_chunks(CHUNK)).for_each(|(inner, up)| times(inner, up));
    op.product(&inner, up.1.dims().to_vec())
}

fn backward_gated<T: Element>(op: &Op, [gate, up]: [&Tensor; 2], grad: &Tensor) -> Result<[Tensor; 2]> {
    let mut of_gate = with_slice::<T, _>(grad, |g| input_gradient(&op.layer, g))?;
    let of_up = gate_gradients(op.fused, [gate, up], &mut of_gate)?;
    let tensor = |values| Tensor::from_vec(values, up.shape(), up.device());
    Ok([tensor(of_gate)?, tensor(of_up)?])
}

/// With `∂i`, the gradient of `φ(g) ⊙ u`: `∂g = ∂i ⊙ u ⊙ φ′(g)`, which takes its place, and `∂u = ∂i ⊙ φ(g)`.
pub(super) fn gate_gradients<T: Element>(
    fused: Fused,
    [gate, up]: [&Tensor; 2],
    inner: &mut [T],
) -> Result<Vec<T>> {
    with_slice::<T, _>(gate, |gate| {
        with_slice::<T, _>(up, |up| {
            let mut of_up = mapped(fused, gate);
            let chunks = inner.par_chunks_mut(CHUNK).zip(of_up.par_chunks_mut(CHUNK));
            chunks.zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK))).for_each(
                |((of_gate, of_up), (gate, up))| {
                    times(of_up, of_gate);
                    times(of_gate, up);
                    scale_by_derivative(fused, gate, of_gate);
                },
            );
            Ok(of_up)
        })
    })
}

/// Every element of `x` times its factor.
pub(super) fn times<T: Element>(x: &mut [T], factors: &[T]) {
    vectorised(
        #[inline(always)]
        || x.iter_mut().zip(factors).for_each(|(x, &factor)| *x *= factor),
    );
}
