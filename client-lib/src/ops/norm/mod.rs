//! Normalisation over the last dimension: `y = (x − μ) / √(σ² + ε) ⊙ γ + β` (layer norm, Ba et al.
//! 2016), or `y = x / √(mean(x²) + ε) ⊙ γ` (RMS norm, Zhang & Sennrich 2019).
//!
//! One kernel: an RMS norm is a layer norm whose mean is taken to be zero. `rows` is what it does to rows, `trained` the
//! operation where `γ` or `β` is learnt.

mod rows;
mod trained;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor};
use hub_formats::architectures::NormKind;

pub use trained::trainable_norm;

use super::{
    Arg, by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, slice_of, tape, with_slice,
};
use rows::Rule;

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
            return tape::apply1(Op(self.clone()), &x.contiguous()?);
        }
        match self.kind {
            _ if !is_fused(x) => self.composed(x),
            NormKind::Layer | NormKind::Rms => trained::forward(self.rule(), x, &self.weight, &self.bias),
            // Not the kept gain: the weight may be a trained copy.
            NormKind::RmsFromOne => trained::forward(self.rule(), x, &(&self.weight + 1.0)?, &self.bias),
        }
    }

    /// The same in candle's operations.
    pub(super) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        match self.kind {
            NormKind::Layer => trained::composed(x, &self.weight, &self.bias, self.eps),
            NormKind::Rms => self.rms_with(x, &self.weight),
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
        self.rule().sizes(self.gain.elem_count())
    }

    fn rms_with(&self, x: &Tensor, gain: &Tensor) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(mean + self.eps)?.sqrt()?)?.broadcast_mul(gain)
    }

    /// Normalises `x + residual` without keeping the sum.
    pub fn forward_sum(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        if is_fused(x) && !self.trained {
            return tape::apply2(Op(self.clone()), [&x.contiguous()?, &residual.contiguous()?]);
        }
        self.forward(&super::sum(x, residual)?)
    }

    fn rule(&self) -> Rule {
        Rule { eps: self.eps, centred: self.kind == NormKind::Layer }
    }
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
    let y = with_affine::<T, _>(norm, |affine| Ok(norm.rule().forward(xs, rs, affine)))?;
    Ok((T::to_cpu_storage_owned(y), shape))
}

fn backward<T: Element>(norm: &Norm, x: &Tensor, residual: Option<&Tensor>, grad: &Tensor) -> Result<Tensor> {
    let dx = with_affine::<T, _>(norm, |[gamma, _]| {
        with_slice::<T, _>(x, |xs| {
            with_slice::<T, _>(grad, |gs| match residual {
                None => Ok(norm.rule().input_gradient(xs, None, gs, gamma)),
                Some(residual) => {
                    with_slice::<T, _>(residual, |rs| Ok(norm.rule().input_gradient(xs, Some(rs), gs, gamma)))
                }
            })
        })
    })?;
    Tensor::from_vec(dx, x.shape(), x.device())
}

fn with_affine<T: Element, R>(norm: &Norm, take: impl FnOnce([&[T]; 2]) -> Result<R>) -> Result<R> {
    with_slice::<T, _>(&norm.gain, |gamma| with_slice::<T, _>(&norm.bias, |beta| take([gamma, beta])))
}
