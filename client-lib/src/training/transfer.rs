//! Numbers of many tensors, from the device and back.
//!
//! Every transfer waits until a GPU has done all it was asked for, so there is one for all tensors, not one for each.

use candle_core::{Result, Tensor, Var};

/// The numbers of every tensor, row-major, in single precision.
pub(super) fn from_device(tensors: &[Tensor]) -> Result<Vec<Vec<f32>>> {
    let Some(first) = tensors.first() else { return Ok(Vec::new()) };
    let flat = tensors.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
    if first.device().is_cpu() {
        return flat.iter().map(Tensor::to_vec1).collect();
    }
    let all = Tensor::cat(&flat, 0)?.to_vec1::<f32>()?;
    let mut rest = all.as_slice();
    let parts = flat.iter().map(|tensor| {
        let (own, others) = rest.split_at(tensor.elem_count());
        rest = others;
        own.to_vec()
    });
    Ok(parts.collect())
}

/// Sets every variable to its numbers.
pub(super) fn to_device(vars: &[&Var], numbers: Vec<Vec<f32>>) -> Result<()> {
    let Some(first) = vars.first() else { return Ok(()) };
    let device = first.device();
    if device.is_cpu() {
        return vars
            .iter()
            .zip(numbers)
            .try_for_each(|(var, numbers)| var.set(&Tensor::from_vec(numbers, var.shape(), device)?));
    }
    let all = numbers.concat();
    let count = all.len();
    let all = Tensor::from_vec(all, count, device)?;
    let mut at = 0;
    vars.iter().try_for_each(|var| {
        let own = all.narrow(0, at, var.elem_count())?;
        at += var.elem_count();
        var.set(&own.reshape(var.shape())?)
    })
}
