//! Products with frozen weights, in the precision that the weights lie there in.

use candle_core::{CudaDevice, CudaStorage, DType, Result, Shape, Tensor, cuda_backend::CudaDType};
use half::bf16;
use hub_kernels::cuda::{self, Factor, Number, Product, Slice, View};

use super::{Arg, cuda_storage, finished, tensor, view, with_views};
use crate::ops::frozen_linear::FrozenLinear;

pub(in crate::ops) fn forward(layer: &FrozenLinear, x: Arg<'_>) -> Result<(CudaStorage, Shape)> {
    let device = &x.0.device;
    let y = product(layer, &view(x, "frozen-linear")?, device)?;
    Ok(finished(y, device, outer(layer, x.1.dims())?))
}

pub(in crate::ops) fn backward(layer: &FrozenLinear, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    with_views([grad], |device, [grad]| Ok(tensor(input_gradient(layer, grad, device)?, device, x.shape())))
}

/// The shape of a result, for that of the input.
pub(super) fn outer(layer: &FrozenLinear, dims: &[usize]) -> Result<Vec<usize>> {
    let (out, inputs) = layer.dims()?;
    match dims {
        [outer @ .., last] if *last == inputs => Ok([outer, &[out]].concat()),
        _ => candle_core::bail!("frozen-linear: {inputs} inputs expected, the tensor is {dims:?}"),
    }
}

/// Whether the weight lies there in bf16.
pub(super) fn is_half(layer: &FrozenLinear) -> Result<bool> {
    Ok(layer.resident()?.dtype() == DType::BF16)
}

/// `W x + b` of every row.
pub(super) fn product(layer: &FrozenLinear, x: &View<'_, f32>, device: &CudaDevice) -> Result<Slice<f32>> {
    if is_half(layer)? {
        product_of::<bf16>(layer, &cuda::to_bf16(device, x)?.as_view(), device)
    } else {
        product_of::<f32>(layer, x, device)
    }
}

/// The same of rows in the weight's precision.
pub(super) fn product_of<T: Number + CudaDType>(
    layer: &FrozenLinear,
    x: &View<'_, T>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    let (out, inputs) = layer.dims()?;
    let rows = x.len() / inputs.max(1);
    let of = Product::one(rows, out, inputs);
    with_weight::<T, _>(layer, |weight| match layer.bias() {
        None => cuda::multiply(device, of, &Factor::new(x), &Factor::transposed(weight)),
        Some(bias) => {
            let mut y = with_views([bias], |device, [bias]| cuda::fill_rows(device, bias, rows))?;
            cuda::multiply_add(device, of, &Factor::new(x), &Factor::transposed(weight), &mut y)?;
            Ok(y)
        }
    })
}

/// `∂y W` of every row.
pub(super) fn input_gradient(
    layer: &FrozenLinear,
    grad: &View<'_, f32>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    if is_half(layer)? {
        gradient_of::<bf16>(layer, &cuda::to_bf16(device, grad)?.as_view(), device)
    } else {
        gradient_of::<f32>(layer, grad, device)
    }
}

/// Adds `∂y W` of every row to `dx`.
pub(super) fn add_input_gradient(
    layer: &FrozenLinear,
    grad: &View<'_, f32>,
    dx: &mut Slice<f32>,
    device: &CudaDevice,
) -> Result<()> {
    if is_half(layer)? {
        add_gradient_of::<bf16>(layer, &cuda::to_bf16(device, grad)?.as_view(), dx, device)
    } else {
        add_gradient_of::<f32>(layer, grad, dx, device)
    }
}

fn gradient_of<T: Number + CudaDType>(
    layer: &FrozenLinear,
    grad: &View<'_, T>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    let of = gradient_sizes(layer, grad.len())?;
    with_weight::<T, _>(layer, |weight| cuda::multiply(device, of, &Factor::new(grad), &Factor::new(weight)))
}

fn add_gradient_of<T: Number + CudaDType>(
    layer: &FrozenLinear,
    grad: &View<'_, T>,
    dx: &mut Slice<f32>,
    device: &CudaDevice,
) -> Result<()> {
    let of = gradient_sizes(layer, grad.len())?;
    with_weight::<T, _>(layer, |weight| {
        cuda::multiply_add(device, of, &Factor::new(grad), &Factor::new(weight), dx)
    })
}

fn gradient_sizes(layer: &FrozenLinear, elements: usize) -> Result<Product> {
    let (out, inputs) = layer.dims()?;
    Ok(Product::one(elements / out.max(1), inputs, out))
}

/// Calls `use_weight` with the numbers of the weight, `[out, in]`.
fn with_weight<T: Number + CudaDType, R>(
    layer: &FrozenLinear,
    use_weight: impl FnOnce(&View<'_, T>) -> Result<R>,
) -> Result<R> {
    let weight = layer.resident()?;
    let (storage, layout) = weight.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("frozen-linear: a weight that is not contiguous")
    };
    use_weight(&cuda_storage(&storage)?.as_cuda_slice::<T>()?.slice(start..end))
}
