//! The same operations on a GPU: on single-precision tensors, products with frozen weights in their precision.
//!
//! Each module is the half of its namesake beside this folder that runs there; what a formula says, it says there.

pub(super) mod activation;
pub(super) mod adamw;
pub(super) mod attention;
pub(super) mod cross_entropy;
pub(super) mod dropout;
pub(super) mod feed_forward;
pub(super) mod frozen_linear;
pub(super) mod linear;
pub(super) mod low_rank;
pub(super) mod norm;
pub(super) mod rotary;
pub(super) mod rows;
pub(super) mod sum;

use std::array;

use candle_core::{
    CudaDevice, CudaStorage, Layout, Result, Shape, Storage, Tensor, cuda_backend::CudaDType, op::BackpropOp,
};
use hub_kernels::cuda::{Slice, View};

/// What a custom operation is given for each of its tensors.
pub(super) type Arg<'a> = (&'a CudaStorage, &'a Layout);

/// The numbers that a contiguous layout covers.
fn view<'a>((storage, layout): Arg<'a>, op: &'static str) -> Result<View<'a, f32>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<f32>()?.slice(start..end)),
        None => Err(candle_core::Error::RequiresContiguous { op }.bt()),
    }
}

/// Calls `use_views` with the numbers of tensors on one GPU.
fn with_views<const N: usize, R>(
    tensors: [&Tensor; N],
    use_views: impl FnOnce(&CudaDevice, [&View<'_, f32>; N]) -> Result<R>,
) -> Result<R> {
    let device = tensors[0].device().as_cuda_device()?;
    let tensors = tensors.iter().map(|tensor| tensor.contiguous()).collect::<Result<Vec<_>>>()?;
    let stored: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let views = stored.iter().map(|(storage, layout)| view((cuda_storage(storage)?, layout), "view"));
    let views = views.collect::<Result<Vec<_>>>()?;
    use_views(device, array::from_fn(|i| &views[i]))
}

fn cuda_storage(storage: &Storage) -> Result<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        _ => candle_core::bail!("a kernel for GPUs was given a tensor elsewhere"),
    }
}

/// What a custom operation gives back.
fn finished(numbers: Slice<f32>, device: &CudaDevice, shape: impl Into<Shape>) -> (CudaStorage, Shape) {
    (CudaStorage::wrap_cuda_slice(numbers, device.clone()), shape.into())
}

/// Calls `use_view` with the numbers of a contiguous tensor.
fn with_view_of<T: CudaDType, R>(
    tensor: &Tensor,
    use_view: impl FnOnce(&View<'_, T>) -> Result<R>,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(candle_core::Error::RequiresContiguous { op: "view" }.bt());
    };
    use_view(&cuda_storage(&storage)?.as_cuda_slice::<T>()?.slice(start..end))
}

/// A tensor outside any graph.
fn tensor<T: CudaDType>(numbers: Slice<T>, device: &CudaDevice, shape: impl Into<Shape>) -> Tensor {
    let storage = CudaStorage::wrap_cuda_slice(numbers, device.clone());
    Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
}
