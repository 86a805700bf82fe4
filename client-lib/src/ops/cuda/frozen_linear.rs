//! Products with frozen weights, in the precision that the weights lie there in.

use std::{cell::RefCell, rc::Rc};

use candle_core::{CudaDevice, CudaStorage, DType, Result, Shape, Tensor, TensorId, cuda_backend::CudaDType};
use half::bf16;
use hub_kernels::cuda::{self, Factor, Number, Product, Slice, View};

use super::{Arg, finished, tensor, view, with_view_of, with_views};
use crate::ops::frozen_linear::FrozenLinear;

pub(in crate::ops) fn forward(
    layer: &FrozenLinear,
    x: Arg<'_>,
    id: TensorId,
) -> Result<(CudaStorage, Shape)> {
    let device = &x.0.device;
    let y = product(layer, (&view(x, "frozen-linear")?, id), device)?;
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

/// `W x + b` of every row of a tensor with this number.
pub(super) fn product(
    layer: &FrozenLinear,
    (x, id): (&View<'_, f32>, TensorId),
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    if is_half(layer)? {
        product_of::<bf16>(layer, &rounded(device, x, id)?.as_view(), device)
    } else {
        product_of::<f32>(layer, x, device)
    }
}

/// The numbers of a tensor in bf16. What was rounded last is kept: queries, keys and values read the same.
pub(super) fn rounded(device: &CudaDevice, x: &View<'_, f32>, id: TensorId) -> Result<Rc<Slice<bf16>>> {
    thread_local! {
        static LAST: RefCell<Option<(TensorId, Rc<Slice<bf16>>)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if let Some((of, numbers)) = last
            && *of == id
        {
            return Ok(Rc::clone(numbers));
        }
        // Two at a time would be one too many.
        *last = None;
        let numbers = Rc::new(cuda::to_bf16(device, x)?);
        *last = Some((id, Rc::clone(&numbers)));
        Ok(numbers)
    })
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
        Some(bias) => with_views([bias], |device, [bias]| {
            cuda::multiply_with_bias(device, of, (&Factor::new(x), &Factor::transposed(weight)), bias)
        }),
    })
}

/// `W x` of every row, in the weight's precision.
pub(super) fn product_without_bias<T: Number + CudaDType>(
    layer: &FrozenLinear,
    x: &View<'_, T>,
    device: &CudaDevice,
) -> Result<Slice<T>> {
    let (out, inputs) = layer.dims()?;
    let of = Product::one(x.len() / inputs.max(1), out, inputs);
    with_weight::<T, _>(layer, |weight| {
        cuda::multiply(device, of, &Factor::new(x), &Factor::transposed(weight))
    })
}

/// `∂y W` of every row.
pub(super) fn input_gradient(
    layer: &FrozenLinear,
    grad: &View<'_, f32>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    if is_half(layer)? {
        gradient_of::<bf16, f32>(layer, &cuda::to_bf16(device, grad)?.as_view(), device)
    } else {
        gradient_of::<f32, f32>(layer, grad, device)
    }
}

/// The same of a gradient in the weight's precision.
pub(super) fn gradient_of<T: Number + CudaDType, O: Number>(
    layer: &FrozenLinear,
    grad: &View<'_, T>,
    device: &CudaDevice,
) -> Result<Slice<O>> {
    let of = gradient_sizes(layer, grad.len())?;
    with_weight::<T, _>(layer, |weight| cuda::multiply(device, of, &Factor::new(grad), &Factor::new(weight)))
}

/// Adds it to `dx`.
pub(super) fn add_gradient_of<T: Number + CudaDType>(
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
    with_view_of(layer.resident()?, use_weight)
}
