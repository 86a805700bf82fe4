//! A norm whose gain or bias is learnt: `∂γ = Σ ∂y ⊙ x̂`, `∂β = Σ ∂y`.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};

use super::rows::Rule;
use crate::ops::{
    Arg, by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, matrix::column_sums, slice_of,
    tape, with_slice,
};

/// The layer norm of `x [.., h]` with trainable `γ [h]` and `β [h]`.
pub fn trainable_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    if is_fused(x) {
        forward(Rule { eps, centred: true }, x, weight, bias)
    } else {
        composed(x, weight, bias, eps)
    }
}

/// The norm as one operation.
pub(super) fn forward(rule: Rule, x: &Tensor, gain: &Tensor, bias: &Tensor) -> Result<Tensor> {
    tape::apply3(Op(rule), [&x.contiguous()?, &gain.contiguous()?, &bias.contiguous()?])
}

/// The same in candle's operations: the fallback where there is no kernel, the oracle in tests.
pub(in crate::ops) fn composed(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normed.broadcast_mul(weight)?.broadcast_add(bias)
}

struct Op(Rule);

/// How wide the rows are.
fn width(x: &[usize], gain: &[usize], bias: &[usize]) -> Result<usize> {
    match (x.last(), gain, bias) {
        (Some(&h), [of_gain], [of_bias]) if h == *of_gain && h == *of_bias && h > 0 => Ok(h),
        _ => candle_core::bail!("trained-norm: a gain {gain:?} and a bias {bias:?} for {x:?}"),
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "trained-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        width(l1.dims(), l2.dims(), l3.dims())?;
        by_dtype!(storage_dtype(s1), "trained-norm", on_cpu(self.0, (s1, l1), (s2, l2), (s3, l3)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let sizes = self.0.sizes(width(l1.dims(), l2.dims(), l3.dims())?);
        crate::ops::cuda::norm::forward_trained(sizes, [(s1, l1), (s2, l2), (s3, l3)])
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, of_gain, of_bias] = self.gradients([x, gain, bias], grad)?;
        Ok((dx, of_gain, of_bias))
    }
}

impl Op {
    fn gradients(&self, [x, gain, bias]: [&Tensor; 3], grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            let sizes = self.0.sizes(gain.elem_count());
            return crate::ops::cuda::norm::backward_trained(sizes, [x, gain, bias], grad);
        }
        by_dtype!(grad.dtype(), "trained-norm", backward(self.0, [x, gain, bias], grad))
    }
}

fn on_cpu<T: Element>(rule: Rule, x: Arg<'_>, gain: Arg<'_>, bias: Arg<'_>) -> Result<(CpuStorage, Shape)> {
    let [xs, gamma, beta] = [x, gain, bias].map(|(s, l)| slice_of::<T>(s, l, "trained-norm"));
    let y = rule.forward(xs?, None, [gamma?, beta?]);
    Ok((T::to_cpu_storage_owned(y), x.1.shape().clone()))
}

fn backward<T: Element>(
    rule: Rule,
    [x, gain, bias]: [&Tensor; 3],
    grad: &Tensor,
) -> Result<[Option<Tensor>; 3]> {
    let kernel = |xs: &[T], gamma: &[T], gs: &[T]| {
        let h = gamma.len();
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let dx = x.track_op().then(|| tensor(rule.input_gradient(xs, None, gs, gamma), x)).transpose()?;
        let of_gain = gain.track_op().then(|| tensor(rule.gain_gradient(xs, gs, h), gain)).transpose()?;
        let of_bias = bias.track_op().then(|| tensor(column_sums(gs, h), bias)).transpose()?;
        Ok([dx, of_gain, of_bias])
    };
    with_slice::<T, _>(x, |xs| {
        with_slice::<T, _>(gain, |gamma| with_slice::<T, _>(grad, |gs| kernel(xs, gamma, gs)))
    })
}
