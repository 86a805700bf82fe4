//! Products with frozen weights, in the precision that the weights lie there in.

use std::{cell::RefCell, rc::Rc};

use candle_core::{CudaDevice, CudaStorage, DType, Result, Shape, Tensor, TensorId, cuda_backend::CudaDType};
use half::bf16;
use hub_kernels::cuda::{self, Factor, Number, Product, Slice, SplitMatrix, SplitRows, View};

use super::{Arg, finished, tensor, view, with_view_of, with_views};
use crate::ops::frozen_linear::{FrozenLinear, Halves, Resident};

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
    Ok(matches!(layer.resident()?, Resident::Half(_)))
}

/// A weight in halves, where its products are faster so.
pub(in crate::ops) fn split(weight: &Tensor) -> Result<Option<Halves>> {
    let dims = weight.dims2()?;
    with_views([weight], |device, [numbers]| {
        let Some((halves, exponent)) = cuda::split_matrix(device, numbers, dims)? else { return Ok(None) };
        let halves = tensor(halves, device, (dims.0, 2 * dims.1));
        let [high, low] = [0, dims.1].map(|from| halves.narrow(1, from, dims.1));
        let most = low?.to_dtype(DType::F32)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        // What was stored in half precision has no lower halves.
        let numbers = if most == 0.0 { high?.contiguous()? } else { halves };
        Ok(Some(Halves { numbers, dims, exponent }))
    })
}

/// Calls `use_matrix` with a weight in halves.
fn with_halves<R>(halves: &Halves, use_matrix: impl FnOnce(SplitMatrix<'_>) -> Result<R>) -> Result<R> {
    let Halves { numbers, dims, exponent } = halves;
    with_view_of(numbers, |numbers| use_matrix(SplitMatrix { numbers, dims: *dims, exponent: *exponent }))
}

/// `W x` of every row in single precision, and a bias.
fn product_of_halves(
    halves: &Halves,
    (x, id): (&View<'_, f32>, Option<TensorId>),
    bias: Option<&Tensor>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    with_halves(halves, |w| {
        let product = |bias: Option<&View<'_, f32>>| match w.product_of_few(device, x, bias)? {
            Some(y) => Ok(y),
            None => w.product(device, &*split_rows(device, (x, id), w.dims.1)?, bias),
        };
        match bias {
            Some(bias) => with_views([bias], |_, [bias]| product(Some(bias))),
            None => product(None),
        }
    })
}

/// `W x + b` of every row of a tensor with this number.
pub(super) fn product(
    layer: &FrozenLinear,
    (x, id): (&View<'_, f32>, TensorId),
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    match layer.resident()? {
        Resident::Single(_) => product_of::<f32>(layer, x, device),
        Resident::Half(_) => product_of::<bf16>(layer, &rounded(device, x, id)?.as_view(), device),
        Resident::Split(halves) => product_of_halves(halves, (x, Some(id)), layer.bias(), device),
    }
}

/// What was made last of a tensor with a number.
type Last<T> = RefCell<Option<(TensorId, Rc<T>)>>;

/// What `make` makes of a tensor, or made of it last: queries, keys and values read the same.
fn made_once<T>(last: &Last<T>, id: TensorId, make: impl FnOnce() -> Result<T>) -> Result<Rc<T>> {
    let mut last = last.borrow_mut();
    if let Some((of, made)) = &*last
        && *of == id
    {
        return Ok(Rc::clone(made));
    }
    // Two at a time would be one too many.
    *last = None;
    let made = Rc::new(make()?);
    *last = Some((id, Rc::clone(&made)));
    Ok(made)
}

/// Rows in halves; those of a tensor with a number are kept until there is another.
fn split_rows(
    device: &CudaDevice,
    (x, id): (&View<'_, f32>, Option<TensorId>),
    width: usize,
) -> Result<Rc<SplitRows>> {
    thread_local! {
        static LAST: Last<SplitRows> = const { RefCell::new(None) };
    }
    let make = || SplitRows::new(device, x, width);
    match id {
        Some(id) => LAST.with(|last| made_once(last, id, make)),
        None => make().map(Rc::new),
    }
}

/// The numbers of a tensor in bf16; kept until there is another.
pub(super) fn rounded(device: &CudaDevice, x: &View<'_, f32>, id: TensorId) -> Result<Rc<Slice<bf16>>> {
    thread_local! {
        static LAST: Last<Slice<bf16>> = const { RefCell::new(None) };
    }
    LAST.with(|last| made_once(last, id, || cuda::to_bf16(device, x)))
}

/// The same of rows in the weight's precision.
pub(super) fn product_of<T: Number + CudaDType>(
    layer: &FrozenLinear,
    x: &View<'_, T>,
    device: &CudaDevice,
) -> Result<Slice<f32>> {
    if let (Resident::Split(halves), Some(x)) = (layer.resident()?, T::as_single(x)) {
        return product_of_halves(halves, (x, None), layer.bias(), device);
    }
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

/// `W x` of every row of a tensor with this number, in the weight's precision.
pub(super) fn product_without_bias<T: Number + CudaDType>(
    layer: &FrozenLinear,
    (x, id): (&View<'_, T>, TensorId),
    device: &CudaDevice,
) -> Result<Slice<T>> {
    if let (Resident::Split(halves), Some(x)) = (layer.resident()?, T::as_single(x)) {
        return in_precision(product_of_halves(halves, (x, Some(id)), None, device)?);
    }
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

/// Numbers in single precision where that is the precision of the results.
fn in_precision<T: Number>(numbers: Slice<f32>) -> Result<Slice<T>> {
    T::from_single(numbers)
        .ok_or_else(|| candle_core::Error::Msg("frozen-linear: results in another precision".to_owned()).bt())
}

/// The same of a gradient in the weight's precision.
pub(super) fn gradient_of<T: Number + CudaDType, O: Number>(
    layer: &FrozenLinear,
    grad: &View<'_, T>,
    device: &CudaDevice,
) -> Result<Slice<O>> {
    if let (Resident::Split(halves), Some(grad)) = (layer.resident()?, T::as_single(grad)) {
        return in_precision(with_halves(halves, |w| w.gradient(device, grad))?);
    }
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
    if let (Resident::Split(halves), Some(grad)) = (layer.resident()?, T::as_single(grad)) {
        return with_halves(halves, |w| w.add_gradient(device, grad, dx));
    }
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
    match layer.resident()? {
        Resident::Single(weight) | Resident::Half(weight) => with_view_of(weight, use_weight),
        Resident::Split(_) => {
            candle_core::bail!("frozen-linear: rows in another precision than the weight's")
        }
    }
}
