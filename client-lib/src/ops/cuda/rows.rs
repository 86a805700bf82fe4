//! Rows by number.

use candle_core::{CudaStorage, Result, Shape, Tensor};
use hub_kernels::cuda;

use super::{Arg, finished, tensor, view, with_view_of, with_views};

pub(in crate::ops) fn forward(x: Arg<'_>, numbers: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let (device, (rows, width)) = (&x.0.device, x.1.shape().dims2()?);
    let Some((start, end)) = numbers.1.contiguous_offsets() else {
        return Err(candle_core::Error::RequiresContiguous { op: "select-rows" }.bt());
    };
    let numbers = numbers.0.as_cuda_slice::<u32>()?.slice(start..end);
    let y = cuda::select_rows(device, &view(x, "select-rows")?, (rows, width), &numbers)?;
    Ok(finished(y, device, (numbers.len(), width)))
}

pub(in crate::ops) fn backward(x: &Tensor, numbers: &Tensor, grad: &Tensor) -> Result<Tensor> {
    with_views([grad], |device, [grad]| {
        with_view_of::<u32, _>(numbers, |numbers| {
            Ok(tensor(cuda::add_rows(device, grad, x.dims2()?, numbers)?, device, x.shape()))
        })
    })
}
