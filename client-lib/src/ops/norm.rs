//! Normalisation over the last dimension: `y = (x − μ) / √(σ² + ε) ⊙ γ + β` (layer norm, Ba et al.
//! 2016), or `y = x / √(mean(x²) + ε) ⊙ γ` (RMS norm, Zhang & Sennrich 2019).
//!
//! One kernel: an RMS norm is a layer norm whose mean is taken to be zero.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor};
use hub_formats::architectures::NormKind;
use hub_kernels::vectorised;
use rayon::prelude::*;

use super::{
    Arg, by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, lanes, lanes3, slice_of,
    with_slice,
};

/// Rows per task.
const ROWS: usize = 32;

/// `γ [h]` and `β [h]`: frozen, or trained copies.
#[derive(Debug, Clone)]
pub struct Norm {
    kind: NormKind,
    /// As the checkpoint stores it.
    weight: Tensor,
    /// What rows are multiplied with.
    gain: Tensor,
    /// Zeros in an RMS norm.
    bias: Tensor,
    eps: f64,
    trained: bool,
}

impl Norm {
    /// Takes the tensors out of any graph they were part of.
    pub fn new(weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Self> {
        let (weight, bias) = (weight.detach().contiguous()?, bias.detach().contiguous()?);
        Ok(Self { kind: NormKind::Layer, gain: weight.clone(), weight, bias, eps, trained: false })
    }

    /// An RMS norm; takes the tensor out of any graph it was part of.
    pub fn rms(weight: &Tensor, eps: f64) -> Result<Self> {
        let weight = weight.detach().contiguous()?;
        let bias = weight.zeros_like()?;
        Ok(Self { kind: NormKind::Rms, gain: weight.clone(), weight, bias, eps, trained: false })
    }

    /// The same with a gain that is stored less one, as in Gemma.
    pub fn rms_from_one(weight: &Tensor, eps: f64) -> Result<Self> {
        let weight = weight.detach().contiguous()?;
        let bias = weight.zeros_like()?;
        Ok(Self { kind: NormKind::RmsFromOne, gain: (&weight + 1.0)?, weight, bias, eps, trained: false })
    }

    /// The same with the trained copies that are given, which keep their graph.
    #[must_use]
    pub fn replaced(&self, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Self {
        Self {
            kind: self.kind,
            gain: self.gain.clone(),
            weight: weight.unwrap_or(&self.weight).clone(),
            bias: bias.unwrap_or(&self.bias).clone(),
            eps: self.eps,
            trained: self.trained || weight.is_some() || bias.is_some(),
        }
    }

    /// `γ` as `weight`, `β` as `bias`.
    pub fn tensor(&self, part: &str) -> Option<&Tensor> {
        match part {
            "weight" => Some(&self.weight),
            "bias" if self.kind == NormKind::Layer => Some(&self.bias),
            _ => None,
        }
    }

    /// Normalises `x [.., h]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) && !self.trained {
            return x.contiguous()?.apply_op1(Op(self.clone()));
        }
        self.composed(x)
    }

    /// The same in candle's operations.
    pub(super) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        match self.kind {
            NormKind::Layer => trainable_norm(x, &self.weight, &self.bias, self.eps),
            NormKind::Rms => self.rms_with(x, &self.weight),
            // Not the kept gain: the weight may be a trained copy.
            NormKind::RmsFromOne => self.rms_with(x, &(&self.weight + 1.0)?),
        }
    }

    pub(super) fn check_width(&self, shape: &Shape, len: usize, other: Option<usize>) -> Result<()> {
        let h = self.gain.elem_count();
        if shape.dims().last() != Some(&h) || other.is_some_and(|other| other != len) {
            candle_core::bail!(
                "layer-norm: width {h} expected, the tensor is {shape:?}, the residual has {other:?} elements"
            );
        }
        Ok(())
    }

    /// What rows are multiplied with, and what is added to them.
    #[cfg(feature = "cuda")]
    pub(super) const fn affine(&self) -> [&Tensor; 2] {
        [&self.gain, &self.bias]
    }

    #[cfg(feature = "cuda")]
    pub(super) fn sizes(&self) -> hub_kernels::cuda::NormSizes {
        hub_kernels::cuda::NormSizes {
            width: self.gain.elem_count(),
            eps: self.eps,
            centred: self.kind == NormKind::Layer,
        }
    }

    fn rms_with(&self, x: &Tensor, gain: &Tensor) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(mean + self.eps)?.sqrt()?)?.broadcast_mul(gain)
    }

    /// Normalises `x + residual` without keeping the sum.
    pub fn forward_sum(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        if is_fused(x) && !self.trained {
            return x.contiguous()?.apply_op2(&residual.contiguous()?, Op(self.clone()));
        }
        self.forward(&(x + residual)?)
    }
}

/// The same with trainable `γ` and `β`, in candle's operations.
pub fn trainable_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normed.broadcast_mul(weight)?.broadcast_add(bias)
}

struct Op(Norm);

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "layer-norm", forward(&self.0, (storage, layout), None))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::cuda::norm::forward(&self.0, (storage, layout), None)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::norm::backward(&self.0, x, None, grad).map(Some);
        }
        by_dtype!(grad.dtype(), "layer-norm", backward(&self.0, x, None, grad)).map(Some)
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "add-layer-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(s1), "add-layer-norm", forward(&self.0, (s1, l1), Some((s2, l2))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::cuda::norm::forward(&self.0, (s1, l1), Some((s2, l2)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        r: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // The sum passes its gradient to both sides unchanged.
        let dx = self.gradient_of_sum(x, r, grad)?;
        let of = |arg: &Tensor| arg.track_op().then(|| dx.clone());
        Ok((of(x), of(r)))
    }
}

impl Op {
    fn gradient_of_sum(&self, x: &Tensor, residual: &Tensor, grad: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::norm::backward(&self.0, x, Some(residual), grad);
        }
        by_dtype!(grad.dtype(), "add-layer-norm", backward(&self.0, x, Some(residual), grad))
    }
}

fn forward<T: Element>(norm: &Norm, x: Arg<'_>, residual: Option<Arg<'_>>) -> Result<(CpuStorage, Shape)> {
    let shape = x.1.shape().clone();
    let xs = slice_of::<T>(x.0, x.1, "layer-norm")?;
    let rs = residual.map(|(s, l)| slice_of::<T>(s, l, "layer-norm")).transpose()?;
    norm.check_width(&shape, xs.len(), rs.map(<[T]>::len))?;
    let mut y = vec![T::zero(); xs.len()];
    with_affine::<T, _>(norm, |gamma, beta| {
        let h = gamma.len();
        y.par_chunks_mut(h * ROWS).enumerate().for_each(|(block, y)| {
            vectorised(
                #[inline(always)]
                || {
                    for (i, y) in y.chunks_exact_mut(h).enumerate() {
                        let at = (block * ROWS + i) * h;
                        sum_into(y, &xs[at..at + h], rs.map(|r| &r[at..at + h]));
                        let (mean, rstd) = moments(y, norm);
                        for ((y, &g), &b) in y.iter_mut().zip(gamma).zip(beta) {
                            *y = (*y - mean) * rstd * g + b;
                        }
                    }
                },
            );
        });
        Ok(())
    })?;
    Ok((T::to_cpu_storage_owned(y), shape))
}

/// With `x̂ = (x − μ) / s`: `∂x = (g − mean(g) − x̂ · mean(g ⊙ x̂)) / s`, where `g = ∂y ⊙ γ`.
fn backward<T: Element>(norm: &Norm, x: &Tensor, residual: Option<&Tensor>, grad: &Tensor) -> Result<Tensor> {
    let mut dx = vec![T::zero(); x.elem_count()];
    let mut kernel = |xs: &[T], rs: Option<&[T]>, gs: &[T], gamma: &[T]| {
        let h = gamma.len();
        dx.par_chunks_mut(h * ROWS).enumerate().for_each(|(block, dx)| {
            vectorised(
                #[inline(always)]
                || {
                    for (i, dx) in dx.chunks_exact_mut(h).enumerate() {
                        let at = (block * ROWS + i) * h;
                        sum_into(dx, &xs[at..at + h], rs.map(|r| &r[at..at + h]));
                        gradient_row(dx, &gs[at..at + h], gamma, norm);
                    }
                },
            );
        });
    };
    with_affine::<T, _>(norm, |gamma, _| {
        with_slice::<T, _>(x, |xs| {
            with_slice::<T, _>(grad, |gs| match residual {
                None => {
                    kernel(xs, None, gs, gamma);
                    Ok(())
                }
                Some(residual) => with_slice::<T, _>(residual, |rs| {
                    kernel(xs, Some(rs), gs, gamma);
                    Ok(())
                }),
            })
        })
    })?;
    Tensor::from_vec(dx, x.shape(), x.device())
}

/// `row` holds x and becomes ∂x.
#[inline(always)]
fn gradient_row<T: Element>(row: &mut [T], grad: &[T], gamma: &[T], norm: &Norm) {
    let (mean, rstd) = moments(row, norm);
    let n = T::constant(row.len() as f64);
    for x in row.iter_mut() {
        *x = (*x - mean) * rstd;
    }
    // Where no mean was subtracted, none has a gradient.
    let is_centred = norm.kind == NormKind::Layer;
    let mean_g = if is_centred { lanes3(row, grad, gamma, |_, g, w| g * w) / n } else { T::zero() };
    let mean_gx = lanes3(row, grad, gamma, |x, g, w| g * w * x) / n;
    for ((x, &g), &w) in row.iter_mut().zip(grad).zip(gamma) {
        *x = (g * w - mean_g - *x * mean_gx) * rstd;
    }
}

#[inline(always)]
fn sum_into<T: Element>(out: &mut [T], x: &[T], residual: Option<&[T]>) {
    match residual {
        None => out.copy_from_slice(x),
        Some(r) => out.iter_mut().zip(x).zip(r).for_each(|((out, &x), &r)| *out = x + r),
    }
}

/// Mean, or zero in an RMS norm, and `1 / √(variance + ε)`.
#[inline(always)]
fn moments<T: Element>(row: &[T], norm: &Norm) -> (T, T) {
    let n = T::constant(row.len() as f64);
    let mean = if norm.kind == NormKind::Layer { lanes(row, |x| x) / n } else { T::zero() };
    let variance = lanes(row, |x| (x - mean) * (x - mean)) / n;
    (mean, T::one() / (variance + T::constant(norm.eps)).sqrt())
}

fn with_affine<T: Element, R>(norm: &Norm, use_both: impl FnOnce(&[T], &[T]) -> Result<R>) -> Result<R> {
    with_slice::<T, _>(&norm.gain, |gamma| with_slice::<T, _>(&norm.bias, |beta| use_both(gamma, beta)))
}
