//! A whole feed-forward network as one operation, where nothing changes any of its layers.
//!
//! What the backward needs of it, what the first layers give, the operation keeps itself. In a graph it would have a
//! gradient of its own, several times as wide as a hidden state, which the tape fills with zeros and adds to.

use std::{ops::Range, sync::OnceLock};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, TensorId};
use hub_kernels::Side;
use hub_schemas::method::Activation;
use rayon::prelude::*;

use super::super::{
    activation::{CHUNK, Fused, map, map_all, mapped, scale_all, scale_by_derivative},
    by_dtype,
    element::Element,
    frozen_linear::{FrozenLinear, chained, finished, input_gradient, product, storage_dtype},
    is_fused, slice_of, tape, with_slice,
};
use super::half::{activated, gate_gradients, gated, times};

/// The layers of a network, all frozen.
#[derive(Debug, Clone, Copy)]
pub struct FeedForward<'a> {
    /// `G [inner, in]`, where there is a gate.
    pub gate: Option<&'a FrozenLinear>,
    /// `V [inner, in]`
    pub up: &'a FrozenLinear,
    /// `W [out, inner]`
    pub down: &'a FrozenLinear,
    /// `φ`
    pub activation: Activation,
}

impl FeedForward<'_> {
    /// `x [.., in]` to `[.., out]`.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        let Some(fused) = Fused::of(self.activation).filter(|_| is_fused(x)) else {
            return self.composed(x);
        };
        let x = x.contiguous()?;
        let op = Op {
            gate: self.gate.cloned(),
            up: self.up.clone(),
            down: self.down.clone(),
            fused,
            keeps: x.track_op(),
            input: x.id(),
            kept: OnceLock::new(),
        };
        op.check()?;
        tape::apply1(op, &x)
    }

    /// The same layer by layer.
    pub(in crate::ops) fn composed(self, x: &Tensor) -> Result<Tensor> {
        let up = self.up.forward(x)?;
        match self.gate {
            Some(gate) => gated(self.down, &gate.forward(x)?, &up, self.activation),
            None => activated(self.down, &up, self.activation),
        }
    }
}

pub(in crate::ops) struct Op {
    pub(in crate::ops) gate: Option<FrozenLinear>,
    pub(in crate::ops) up: FrozenLinear,
    pub(in crate::ops) down: FrozenLinear,
    pub(in crate::ops) fused: Fused,
    /// Of the tensor that it reads.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only a GPU keeps what it rounded"))]
    pub(in crate::ops) input: TensorId,
    /// Whether there will be a backward.
    pub(in crate::ops) keeps: bool,
    /// `G x`, where there is a gate, and `V x`: `[rows, inner]`; on a GPU in the precision of the weights, without biases.
    pub(in crate::ops) kept: OnceLock<(Option<Tensor>, Tensor)>,
}

impl Op {
    fn check(&self) -> Result<()> {
        let (up, down) = (self.up.dims()?, self.down.dims()?);
        let gate = self.gate.as_ref().map_or(Ok(up), FrozenLinear::dims)?;
        if down.1 != up.0 || gate != up {
            candle_core::bail!("feed-forward: layers of {up:?}, {down:?} and a gate of {gate:?}");
        }
        Ok(())
    }

    /// What the forward has kept.
    pub(in crate::ops) fn inner(&self) -> Result<(Option<&Tensor>, &Tensor)> {
        match self.kept.get() {
            Some((gate, up)) => Ok((gate.as_ref(), up)),
            None => candle_core::bail!("feed-forward: a backward without a forward"),
        }
    }
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "feed-forward"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "feed-forward", forward(self, storage, layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        crate::ops::cuda::feed_forward::forward_whole(self, (storage, layout))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return crate::ops::cuda::feed_forward::backward_whole(self, x, grad).map(Some);
        }
        by_dtype!(grad.dtype(), "feed-forward", backward(self, x, grad)).map(Some)
    }
}

fn forward<T: Element>(op: &Op, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let x = slice_of::<T>(storage, layout, "feed-forward")?;
    let (inner, inputs) = op.up.dims()?;
    if layout.dims().last() != Some(&inputs) {
        candle_core::bail!("feed-forward: {inputs} inputs expected, the tensor is {:?}", layout.dims());
    }
    let rows = x.len() / inputs.max(1);
    let outputs = op.down.dims()?.0;
    let kept = |values: Vec<T>| Tensor::from_vec(values, (rows, inner), &candle_core::Device::Cpu);
    if op.gate.is_none() {
        let between = |_, middle: &mut [T]| map(op.fused, middle);
        if let Some(done) = chained((&op.up, &op.down, Side::Forward), x, op.keeps, &between)? {
            if let Some(up) = done.inner {
                let kept = (None, kept(up)?);
                op.kept.get_or_init(|| kept);
            }
            return Ok(finished(done.outputs, layout.dims().to_vec(), outputs));
        }
    }
    let up = product(&op.up, x, rows)?;
    let gate = op.gate.as_ref().map(|gate| product(gate, x, rows)).transpose()?;
    let middle = if op.keeps {
        let mut middle = mapped(op.fused, gate.as_ref().unwrap_or(&up));
        times_all(&mut middle, gate.is_some().then_some(&*up));
        let kept = (gate.map(kept).transpose()?, kept(up)?);
        op.kept.get_or_init(|| kept);
        middle
    } else {
        // Nobody asks for them again: in place.
        let (mut middle, factors) = match gate {
            Some(gate) => (gate, Some(up)),
            None => (up, None),
        };
        map_all(op.fused, &mut middle);
        times_all(&mut middle, factors.as_deref());
        middle
    };
    let y = product(&op.down, &middle, rows)?;
    Ok(finished(y, layout.dims().to_vec(), outputs))
}

/// Every element of `x` times its factor, on all cores.
fn times_all<T: Element>(x: &mut [T], factors: Option<&[T]>) {
    if let Some(factors) = factors {
        x.par_chunks_mut(CHUNK).zip(factors.par_chunks(CHUNK)).for_each(|(x, factors)| times(x, factors));
    }
}

/// `∂x = ∂u V`, with a gate `∂x = ∂u V + ∂g G`.
fn backward<T: Element>(op: &Op, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let (None, up) = op.inner()?
        && let Some(dx) = chained_backward::<T>(op, up, grad)?
    {
        return Tensor::from_vec(dx, x.shape(), x.device());
    }
    let mut middle = with_slice::<T, _>(grad, |g| input_gradient(&op.down, g))?;
    let dx = match (op.inner()?, &op.gate) {
        ((Some(gate), up), Some(gate_layer)) => {
            let of_up = gate_gradients(op.fused, [gate, up], &mut middle)?;
            let mut dx = input_gradient(&op.up, &of_up)?;
            let of_gate = input_gradient(gate_layer, &middle)?;
            dx.par_chunks_mut(CHUNK).zip(of_gate.par_chunks(CHUNK)).for_each(|(dx, more)| {
                dx.iter_mut().zip(more).for_each(|(dx, &more)| *dx += more);
            });
            dx
        }
        ((_, up), _) => {
            with_slice::<T, _>(up, |up| {
                scale_all(op.fused, up, &mut middle);
                Ok(())
            })?;
            input_gradient(&op.up, &middle)?
        }
    };
    Tensor::from_vec(dx, x.shape(), x.device())
}

/// `((∂y W) ⊙ φ′(V x)) V`, some rows at a time.
fn chained_backward<T: Element>(op: &Op, up: &Tensor, grad: &Tensor) -> Result<Option<Vec<T>>> {
    let inner = op.up.dims()?.0;
    let layers = (&op.down, &op.up, Side::Backward);
    let chain = |up: &[T], grad: &[T]| {
        let between = |rows: Range<usize>, middle: &mut [T]| {
            scale_by_derivative(op.fused, &up[rows.start * inner..rows.end * inner], middle);
        };
        Ok(chained(layers, grad, false, &between)?.map(|done| done.outputs))
    };
    with_slice::<T, _>(up, |up| with_slice::<T, _>(grad, |grad| chain(up, grad)))
}
