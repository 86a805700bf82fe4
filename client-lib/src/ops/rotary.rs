//! Rotary positions (Su et al. 2021): every head's vector is turned by angles that grow with
//! the position, so that a product of query and key depends on their distance.
//!
//! Component `i < d/2` of a head is paired with `i + d/2`, as in `transformers`:
//! `y_i = x_i cos θ − x_{i+d/2} sin θ`, `y_{i+d/2} = x_{i+d/2} cos θ + x_i sin θ`, with
//! `θ = position · f_i`. The backward turns by the opposite angles.

use std::ops::Range;
use std::sync::Arc;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{by_dtype, element::Element, frozen_linear::storage_dtype, is_fused, slice_of, tape, with_slice};

/// Cosines and sines of one forward pass: `d/2` of each per position.
#[derive(Debug, Clone)]
pub struct Rotary {
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
    half: usize,
    /// The same on a GPU, from when they are first needed there.
    #[cfg(feature = "cuda")]
    elsewhere: Arc<std::sync::OnceLock<[Tensor; 2]>>,
}

impl Rotary {
    /// The angles of `positions` for the frequencies of a head's components, `d/2` of them.
    ///
    /// In single precision whatever the model's: the checkpoints were trained with these
    /// roundings, which grow with the position.
    pub fn new(frequencies: &[f32], positions: Range<usize>) -> Self {
        let angles = || positions.clone().flat_map(|at| frequencies.iter().map(move |&f| at as f32 * f));
        Self::of(angles().map(f32::cos).collect(), angles().map(f32::sin).collect(), frequencies.len())
    }

    fn of(cos: Arc<[f32]>, sin: Arc<[f32]>, half: usize) -> Self {
        Self {
            cos,
            sin,
            half,
            #[cfg(feature = "cuda")]
            elsewhere: Arc::default(),
        }
    }

    /// Cosines and sines on a GPU, `[positions, d/2]` each.
    #[cfg(feature = "cuda")]
    pub(super) fn angles_on(&self, device: &candle_core::Device) -> Result<[&Tensor; 2]> {
        let there = |values: &[f32]| Tensor::new(values, device);
        let [cos, sin] = if let Some(both) = self.elsewhere.get() {
            both
        } else {
            let both = [there(&self.cos)?, there(&self.sin)?];
            self.elsewhere.get_or_init(|| both)
        };
        Ok([cos, sin])
    }

    /// Pairs of components of a head, and positions.
    #[cfg(feature = "cuda")]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.half, self.cos.len() / self.half.max(1))
    }

    /// The same with what is turned multiplied by `factor`.
    #[must_use]
    pub fn scaled(self, factor: f32) -> Self {
        let times = |values: &[f32]| values.iter().map(|value| value * factor).collect();
        Self::of(times(&self.cos), times(&self.sin), self.half)
    }

    /// Turns `x [b, t, h·d]`; row `i` of the angles is for `x[:, i]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.check(x.dims())?;
        if is_fused(x) {
            return tape::apply1(Op { rotary: self.clone() }, &x.contiguous()?);
        }
        self.composed(x)
    }

    /// The same in candle's operations.
    pub(super) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, width) = x.dims3()?;
        let heads = width / (2 * self.half);
        let table = |values: &Arc<[f32]>| {
            let values = Tensor::from_vec(values.to_vec(), (1, t, 1, self.half), x.device())?;
            values.to_dtype(x.dtype())
        };
        let (cos, sin) = (table(&self.cos)?, table(&self.sin)?);
        let x = x.reshape((b, t, heads, 2 * self.half))?;
        let (first, second) =
            (x.narrow(D::Minus1, 0, self.half)?, x.narrow(D::Minus1, self.half, self.half)?);
        let turned = [
            (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?,
            (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?,
        ];
        Tensor::cat(&turned, D::Minus1)?.reshape((b, t, width))
    }

    fn check(&self, dims: &[usize]) -> Result<()> {
        let positions = self.cos.len() / self.half.max(1);
        match dims {
            [_, t, width] if *t == positions && width.is_multiple_of(2 * self.half.max(1)) => Ok(()),
            _ => candle_core::bail!(
                "rotary: {dims:?} does not fit {positions} positions and heads of width {}",
                2 * self.half
            ),
        }
    }

    /// `direction` is 1 to turn, −1 to turn back.
    fn turn<T: Element>(&self, x: &[T], width: usize, direction: f64) -> Vec<T> {
        let mut out = vec![T::zero(); x.len()];
        let positions = self.cos.len() / self.half;
        out.par_chunks_mut(width).zip(x.par_chunks(width)).enumerate().for_each(|(row, (out, x))| {
            let at = row % positions * self.half;
            let (cos, sin) = (&self.cos[at..at + self.half], &self.sin[at..at + self.half]);
            let heads = out.chunks_exact_mut(2 * self.half).zip(x.chunks_exact(2 * self.half));
            for (out, x) in heads {
                let (out_first, out_second) = out.split_at_mut(self.half);
                let (first, second) = x.split_at(self.half);
                for i in 0..self.half {
                    let cos = T::constant(f64::from(cos[i]));
                    let sin = T::constant(f64::from(sin[i]) * direction);
                    out_first[i] = first[i] * cos - second[i] * sin;
                    out_second[i] = second[i] * cos + first[i] * sin;
                }
            }
        });
        out
    }
}

struct Op {
    rotary: Rotary,
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "rotary", forward(&self.rotary, storage, layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::cuda::rotary::forward(&self.rotary, (storage, layout))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::rotary::backward(&self.rotary, grad).map(Some);
        }
        by_dtype!(grad.dtype(), "rotary", backward(&self.rotary, x, grad)).map(Some)
    }
}

fn forward<T: Element>(
    rotary: &Rotary,
    storage: &CpuStorage,
    layout: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let x = slice_of::<T>(storage, layout, "rotary")?;
    let width = layout.dims().last().copied().unwrap_or(1);
    Ok((T::to_cpu_storage_owned(rotary.turn(x, width, 1.0)), layout.shape().clone()))
}

fn backward<T: Element>(rotary: &Rotary, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    let dx = with_slice::<T, _>(grad, |g| Ok(rotary.turn(g, width, -1.0)))?;
    Tensor::from_vec(dx, x.shape(), x.device())
}
