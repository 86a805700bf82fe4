//! Non-linearities with their derivatives.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use hub_kernels::{fresh, vectorised};
use hub_schemas::method::Activation;
use rayon::prelude::*;

use super::{by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, slice_of, tape, with_slice};

/// Elements per task: large enough to pay for handing it over.
pub(super) const CHUNK: usize = 1 << 14;

/// Applies `activation` element by element.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match Fused::of(activation) {
        Some(fused) if is_fused(x) => tape::apply1(Op(fused), &x.contiguous()?),
        _ => composed(x, activation),
    }
}

/// The functions with a fused kernel; what hardly anyone uses is composed.
#[derive(Clone, Copy)]
pub(super) enum Fused {
    Relu,
    Gelu,
    GeluNew,
    Swish,
    Tanh,
    Sigmoid,
    LeakyRelu,
}

impl Fused {
    pub(super) const fn of(activation: Activation) -> Option<Self> {
        Some(match activation {
            Activation::Relu => Self::Relu,
            Activation::Gelu => Self::Gelu,
            Activation::GeluNew => Self::GeluNew,
            Activation::Swish => Self::Swish,
            Activation::Tanh => Self::Tanh,
            Activation::Sigmoid => Self::Sigmoid,
            Activation::LeakyRelu => Self::LeakyRelu,
            Activation::Mish
            | Activation::QuickGelu
            | Activation::Relu6
            | Activation::Relu2
            | Activation::Gelu10
            | Activation::Laplace
            | Activation::Linear
            | Activation::Prelu => return None,
        })
    }
}

/// The same in candle's operations: the fallback where there is no kernel, the oracle in tests.
pub(super) fn composed(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Relu => x.relu(),
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluNew => x.gelu(),
        Activation::Swish => x.silu(),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid_composed(x),
        Activation::LeakyRelu => x.relu()? - ((x.neg()?.relu()?) * 0.01)?,
        Activation::Mish => x * softplus(x)?.tanh()?,
        Activation::QuickGelu => x * sigmoid_composed(&(x * 1.702)?)?,
        // max(x, 0) − max(x − 6, 0)
        Activation::Relu6 => x.relu()? - (x - 6.0)?.relu()?,
        Activation::Relu2 => x.relu()?.sqr(),
        Activation::Gelu10 => x.gelu_erf()?.clamp(-10.0, 10.0),
        Activation::Laplace => {
            // `transformers` has rounded 1/√2 and √(1/4π).
            let (mean, deviation) = (707_107e-6, 282_095e-6);
            let scaled = ((x - mean)? / (deviation * std::f64::consts::SQRT_2))?;
            (scaled.erf()? + 1.0)? * 0.5
        }
        Activation::Linear => Ok(x.clone()),
        Activation::Prelu => {
            candle_core::bail!("`prelu` has a weight of its own, which only bottlenecks bring")
        }
    }
}

/// `max(x, 0) + w · min(x, 0)` with a learned `weight [1]` (He et al. 2015).
pub fn prelu(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.relu()? - x.neg()?.relu()?.broadcast_mul(weight)?
}

/// `ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|)`, which does not overflow.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

fn sigmoid_composed(x: &Tensor) -> Result<Tensor> {
    // σ(x) = (1 + tanh(x/2)) / 2 never overflows.
    ((x * 0.5)?.tanh()? * 0.5)? + 0.5
}

struct Op(Fused);

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "activation", forward(self.0, storage, layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::cuda::activation::forward(self.0, (storage, layout))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::activation::backward(self.0, x, grad).map(Some);
        }
        by_dtype!(grad.dtype(), "activation", backward(self.0, x, grad)).map(Some)
    }
}

fn forward<T: Element>(f: Fused, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    let y = mapped(f, slice_of::<T>(storage, layout, "activation")?);
    Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
}

fn backward<T: Element>(f: Fused, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let mut dx = with_slice::<T, _>(grad, |grad| Ok(grad.to_vec()))?;
    with_slice::<T, _>(x, |x| {
        scale_all(f, x, &mut dx);
        Ok(())
    })?;
    Tensor::from_vec(dx, x.shape(), x.device())
}

/// The function of every element, on all cores.
pub(super) fn mapped<T: Element>(f: Fused, x: &[T]) -> Vec<T> {
    // A chunk stays in a cache from here to there.
    fresh::vector(x.len(), CHUNK, |part, y| y.copy(&x[part]).then(|y| map(f, y)))
}

/// Every element becomes its function, on all cores.
pub(super) fn map_all<T: Element>(f: Fused, x: &mut [T]) {
    x.par_chunks_mut(CHUNK).for_each(|x| map(f, x));
}

/// Multiplies every element of `grad` by the derivative at its `x`, on all cores.
pub(super) fn scale_all<T: Element>(f: Fused, x: &[T], grad: &mut [T]) {
    grad.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(g, x)| scale_by_derivative(f, x, g));
}

/// Every element becomes its function.
pub(super) fn map<T: Element>(f: Fused, x: &mut [T]) {
    macro_rules! each {
        ($value:expr) => {
            vectorised(
                #[inline(always)]
                || {
                    for x in x.iter_mut() {
                        *x = $value(*x);
                    }
                },
            )
        };
    }
    match f {
        Fused::Relu => each!(|x: T| if x > T::zero() { x } else { T::zero() }),
        Fused::Gelu => each!(gelu),
        Fused::GeluNew => each!(gelu_tanh),
        Fused::Swish => each!(|x: T| x * sigmoid(x)),
        Fused::Tanh => each!(tanh),
        Fused::Sigmoid => each!(sigmoid),
        Fused::LeakyRelu => each!(|x: T| if x > T::zero() { x } else { x * T::constant(0.01) }),
    }
}

/// Multiplies every element of `grad` by the derivative at its `x`.
pub(super) fn scale_by_derivative<T: Element>(f: Fused, x: &[T], grad: &mut [T]) {
    macro_rules! each {
        ($derivative:expr) => {
            vectorised(
                #[inline(always)]
                || {
                    for (g, &x) in grad.iter_mut().zip(x) {
                        *g *= $derivative(x);
                    }
                },
            )
        };
    }
    match f {
        Fused::Relu => each!(|x: T| if x > T::zero() { T::one() } else { T::zero() }),
        Fused::Gelu => each!(gelu_derivative),
        Fused::GeluNew => each!(gelu_tanh_derivative),
        // d/dx x·σ(x) = σ (1 + x (1 − σ))
        Fused::Swish => each!(|x: T| {
            let s = sigmoid(x);
            s * (T::one() + x * (T::one() - s))
        }),
        Fused::Tanh => each!(|x: T| {
            let t = tanh(x);
            T::one() - t * t
        }),
        Fused::Sigmoid => each!(|x: T| {
            let s = sigmoid(x);
            s * (T::one() - s)
        }),
        Fused::LeakyRelu => each!(|x: T| if x > T::zero() { T::one() } else { T::constant(0.01) }),
    }
}

/// `1 / (1 + e^-x)`
#[inline(always)]
fn sigmoid<T: Element>(x: T) -> T {
    T::one() / (T::one() + (-x).exp_fast())
}

/// `2 σ(2x) − 1`
#[inline(always)]
fn tanh<T: Element>(x: T) -> T {
    let two = T::one() + T::one();
    two * sigmoid(two * x) - T::one()
}

/// Hendrycks & Gimpel (2016): `x Φ(x)`, `Φ(x) = (1 + erf(x/√2)) / 2`.
#[inline(always)]
fn gelu<T: Element>(x: T) -> T {
    x * T::constant(0.5) * (T::one() + (x * T::constant(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

/// `Φ(x) + x φ(x)`, `φ(x) = e^(−x²/2) / √(2π)`.
#[inline(always)]
fn gelu_derivative<T: Element>(x: T) -> T {
    let cdf = T::constant(0.5) * (T::one() + (x * T::constant(std::f64::consts::FRAC_1_SQRT_2)).erf());
    let pdf = (x * x * T::constant(-0.5)).exp_fast() * T::constant(0.398_942_280_401_432_7);
    cdf + x * pdf
}

const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

/// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`
#[inline(always)]
fn gelu_tanh<T: Element>(x: T) -> T {
    let inner = T::constant(SQRT_2_OVER_PI) * (x + T::constant(CUBIC) * x * x * x);
    T::constant(0.5) * x * (T::one() + tanh(inner))
}

#[inline(always)]
fn gelu_tanh_derivative<T: Element>(x: T) -> T {
    let t = tanh(T::constant(SQRT_2_OVER_PI) * (x + T::constant(CUBIC) * x * x * x));
    let inner = T::constant(SQRT_2_OVER_PI) * (T::one() + T::constant(3.0 * CUBIC) * x * x);
    T::constant(0.5) * (T::one() + t) + T::constant(0.5) * x * (T::one() - t * t) * inner
}
