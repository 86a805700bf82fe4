//! Steps of the optimiser.

use candle_core::{Result, Tensor};
use hub_kernels::cuda::{self, AdamWStep, Parameter, View};

use super::{cuda_storage, view};
use crate::ops::adamw::{Learnt, Step};

pub(in crate::ops) fn step(all: &[Learnt<'_>], step: Step) -> Result<()> {
    let Step { beta1, beta2, size, root, epsilon, scale } = step;
    let how = AdamWStep { beta1, beta2, size, root, epsilon, scale };
    let gradients = all.iter().map(|one| one.gradient.contiguous()).collect::<Result<Vec<_>>>()?;
    let tensors = all.iter().zip(&gradients).flat_map(|(one, gradient)| [one.values, one.moments, gradient]);
    with_all(&tensors.collect::<Vec<_>>(), |views| {
        let (triples, _) = views.as_chunks::<3>();
        let parameters = triples.iter().zip(all).map(|([values, moments, gradient], one)| Parameter {
            values,
            moments,
            gradient,
            kept: one.kept,
        });
        let Some(first) = all.first() else { return Ok(()) };
        cuda::adamw(first.values.device().as_cuda_device()?, &parameters.collect::<Vec<_>>(), how)
    })
}

pub(in crate::ops) fn square_sum(all: &[&Tensor]) -> Result<f64> {
    let all = all.iter().map(|tensor| tensor.contiguous()).collect::<Result<Vec<_>>>()?;
    with_all(&all.iter().collect::<Vec<_>>(), |views| {
        let Some(first) = all.first() else { return Ok(0.0) };
        cuda::square_sum(first.device().as_cuda_device()?, &views.iter().collect::<Vec<_>>())
    })
}

/// Calls `take` with the numbers of contiguous tensors on one GPU.
fn with_all<R>(tensors: &[&Tensor], take: impl FnOnce(&[View<'_, f32>]) -> Result<R>) -> Result<R> {
    let stored: Vec<_> = tensors.iter().map(|tensor| tensor.storage_and_layout()).collect();
    let views = stored.iter().map(|(storage, layout)| view((cuda_storage(storage)?, layout), "adamw"));
    take(&views.collect::<Result<Vec<_>>>()?)
}
