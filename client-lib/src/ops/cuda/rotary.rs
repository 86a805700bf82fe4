//! Rotary positions.

use candle_core::{CudaStorage, D, Result, Shape, Tensor};
use hub_kernels::cuda::{self, Rotation, Slice, View};

use super::{Arg, finished, tensor, view, with_views};
use crate::ops::rotary::Rotary;

pub(in crate::ops) fn forward(rotary: &Rotary, x: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let device = &x.0.device;
    let width = x.1.dims().last().copied().unwrap_or(0);
    let y = turn(rotary, &view(x, "rotary")?, (width, false), device)?;
    Ok(finished(y, device, x.1.shape()))
}

pub(in crate::ops) fn backward(rotary: &Rotary, grad: &Tensor) -> Result<Tensor> {
    let width = grad.dim(D::Minus1)?;
    with_views([grad], |device, [view]| {
        Ok(tensor(turn(rotary, view, (width, true), device)?, device, grad.shape()))
    })
}

fn turn(
    rotary: &Rotary,
    x: &View<'_, f32>,
    (width, back): (usize, bool),
    device: &candle_core::CudaDevice,
) -> Result<Slice<f32>> {
    let (half, positions) = rotary.sizes();
    let by = Rotation { heads: width / (2 * half).max(1), half, positions, back };
    let [cos, sin] = rotary.angles_on(&candle_core::Device::Cuda(device.clone()))?;
    with_views([cos, sin], |device, angles| cuda::rotate(device, by, x, angles))
}
