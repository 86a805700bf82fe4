//! A step of AdamW where the numbers lie, and the norm of a gradient. The formula is in `training/adamw.rs`.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor};
use hub_kernels::vectorised;
use rayon::prelude::*;

use super::{activation::CHUNK, slice_of, with_slice};

/// One tensor that is learnt, in single precision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learnt<'a> {
    /// Its values; they are written.
    pub(crate) values: &'a Tensor,
    /// The running means of its gradient and of the squares, `[2, n]`; they are written.
    pub(crate) moments: &'a Tensor,
    /// Its gradient.
    pub(crate) gradient: &'a Tensor,
    /// What decay leaves of the values.
    pub(crate) kept: f32,
}

/// What all tensors of a step share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    /// The learning rate over the first correction.
    pub(crate) size: f32,
    /// The square root of the second correction.
    pub(crate) root: f32,
    pub(crate) epsilon: f32,
    /// What gradients are multiplied with first.
    pub(crate) scale: f32,
}

/// Updates every tensor with its gradient.
pub(crate) fn step(all: &[Learnt<'_>], step: Step) -> Result<()> {
    #[cfg(feature = "cuda")]
    if all.first().is_some_and(|one| one.values.device().is_cuda()) {
        return super::cuda::adamw::step(all, step);
    }
    all.iter().try_for_each(|one| {
        one.moments.inplace_op2(&one.gradient.contiguous()?, &Moments(step))?;
        one.values.inplace_op2(one.moments, &Values { step, kept: one.kept })
    })
}

/// The sum of the squares of all numbers, in double precision.
pub(crate) fn square_sum(all: &[&Tensor]) -> Result<f64> {
    #[cfg(feature = "cuda")]
    if all.first().is_some_and(|one| one.device().is_cuda()) {
        return super::cuda::adamw::square_sum(all);
    }
    let mut sum = 0.0;
    for one in all {
        let parts: Vec<f64> = with_slice::<f32, _>(one, |numbers| {
            let squares = |part: &[f32]| part.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            Ok(numbers.par_chunks(CHUNK).map(squares).collect())
        })?;
        // One after the other, whoever computed them.
        sum += parts.into_iter().sum::<f64>();
    }
    Ok(sum)
}

/// The means of a gradient and of its squares.
struct Moments(Step);

/// The values of a step whose means are there.
struct Values {
    step: Step,
    kept: f32,
}

impl InplaceOp2 for Moments {
    fn name(&self) -> &'static str {
        "adamw-moments"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (all, gradient) = (slice_to_write(s1, l1)?, slice_of::<f32>(s2, l2, "adamw")?);
        if all.len() != 2 * gradient.len() {
            candle_core::bail!("adamw: moments {:?} for a gradient {:?}", l1.shape(), l2.shape());
        }
        let Step { beta1, beta2, scale, .. } = self.0;
        let (first, second) = all.split_at_mut(gradient.len());
        let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
        moments.zip(gradient.par_chunks(CHUNK)).for_each(|((first, second), gradient)| {
            vectorised(
                #[inline(always)]
                || {
                    for ((first, second), &g) in first.iter_mut().zip(second.iter_mut()).zip(gradient) {
                        let g = g * scale;
                        *first = beta1 * *first + (1.0 - beta1) * g;
                        *second = beta2 * *second + (1.0 - beta2) * g * g;
                    }
                },
            );
        });
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &mut CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<()> {
        candle_core::bail!("adamw: on a GPU all tensors are updated at once")
    }
}

impl InplaceOp2 for Values {
    fn name(&self) -> &'static str {
        "adamw-values"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (values, moments) = (slice_to_write(s1, l1)?, slice_of::<f32>(s2, l2, "adamw")?);
        if moments.len() != 2 * values.len() {
            candle_core::bail!("adamw: moments {:?} for values {:?}", l2.shape(), l1.shape());
        }
        let (Step { size, root, epsilon, .. }, kept) = (self.step, self.kept);
        let (first, second) = moments.split_at(values.len());
        let moments = first.par_chunks(CHUNK).zip(second.par_chunks(CHUNK));
        values.par_chunks_mut(CHUNK).zip(moments).for_each(|(values, (first, second))| {
            vectorised(
                #[inline(always)]
                || {
                    for ((value, &first), &second) in values.iter_mut().zip(first).zip(second) {
                        *value = kept * *value - size * first / (second.sqrt() / root + epsilon);
                    }
                },
            );
        });
        Ok(())
    }
}

/// The numbers that a contiguous layout covers.
fn slice_to_write<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((start, end))) => Ok(&mut numbers[start..end]),
        _ => candle_core::bail!("adamw: what is learnt is contiguous and in single precision"),
    }
}
