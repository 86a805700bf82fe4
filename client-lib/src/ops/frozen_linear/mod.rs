//! A linear layer whose weight never gets a gradient.
//!
//! `y = x Wᵀ + b`, backward `∂x = ∂y W` and nothing else: a third of the matrix
//! products of candle's own backward are not done, and no weight gradient is kept. Because the weight
//! never changes it is packed once for products with few rows. It may be quantised: then a part of it at a
//! time is restored, for the forward and again for the backward.

mod half;
mod restored;
mod weight;

use std::{ops::Range, sync::Arc};

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, TensorId};
use hub_formats::checkpoint::Blocks;
use hub_kernels::{
    Side, bf16,
    few::{self, Dense},
    vectorised,
};
use rayon::prelude::*;

#[cfg(feature = "cuda")]
pub(super) use self::weight::Halves;
use self::weight::{Numbers, Packs, Weight};
pub use self::{
    half::HalfMatrix,
    weight::{Arithmetic, MappedMatrix},
};
use super::{
    by_dtype,
    element::Element,
    is_fused,
    matrix::{self, Matrix, Threads},
    slice_of, tape, with_slice,
};

/// Frozen `W [out, in]` and `b [out]`.
#[derive(Debug, Clone)]
pub struct FrozenLinear {
    weight: Weight,
    bias: Option<Tensor>,
}

/// A weight on a GPU.
#[cfg(feature = "cuda")]
#[derive(Debug, Clone, Copy)]
pub(super) enum Resident<'a> {
    /// In single precision.
    Single(&'a Tensor),
    /// In bf16.
    Half(&'a Tensor),
    /// In halves that are single precision together.
    Split(&'a Halves),
}

/// Rows that a task adds a bias to.
const ROWS: usize = 64;

impl FrozenLinear {
    /// Takes the tensors out of any graph they were part of.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it takes the tensors over: a graph must not keep them"
    )]
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let (out, _) = weight.dims2()?;
        let bias = checked(bias, out)?;
        let weight = Numbers::Tensor(weight.detach().contiguous()?);
        Ok(Self { weight: Weight::Dense(weight, Arc::default()), bias })
    }

    /// The same layer with its products in `arithmetic`; those of a few rows with quantised weights stay exact. On a GPU
    /// a weight lies in the precision of its products.
    pub fn computing_in(self, arithmetic: Arithmetic) -> Result<Self> {
        let weight = match self.weight {
            Weight::Dense(weight, _) => {
                Weight::Dense(weight.lying_for(arithmetic)?, Arc::new(Packs::new(arithmetic)))
            }
            Weight::Blocks(blocks, dtype, _) => Weight::Blocks(blocks, dtype, arithmetic),
        };
        Ok(Self { weight, ..self })
    }

    /// The weight as it lies on a GPU.
    #[cfg(feature = "cuda")]
    pub(super) fn resident(&self) -> Result<Resident<'_>> {
        match &self.weight {
            Weight::Dense(Numbers::Tensor(weight), _) => Ok(Resident::Single(weight)),
            Weight::Dense(Numbers::Rounded { there, .. }, _) => Ok(Resident::Half(there)),
            Weight::Dense(Numbers::Split(halves), _) => Ok(Resident::Split(halves)),
            _ => candle_core::bail!("frozen-linear: the weight does not lie on the GPU"),
        }
    }

    /// A layer whose weight stays in its file.
    pub fn mapped(weight: MappedMatrix, bias: Option<Tensor>) -> Result<Self> {
        let weight = Numbers::Mapped(Arc::new(weight));
        let bias = checked(bias, weight.dims()?.0)?;
        Ok(Self { weight: Weight::Dense(weight, Arc::default()), bias })
    }

    /// A layer whose weight stays in its file, in half precision. Its products are those of the same numbers in single
    /// precision, to the last bit.
    pub fn half(weight: HalfMatrix, bias: Option<Tensor>) -> Result<Self> {
        let weight = Numbers::Half(Arc::new(weight));
        let bias = checked(bias, weight.dims()?.0)?;
        Ok(Self { weight: Weight::Dense(weight, Arc::default()), bias })
    }

    /// A layer that keeps its weight quantised. What it computes is what the numbers that the
    /// blocks stand for would give, restored row by row; so is its backward (`QLoRA`, Dettmers et
    /// al. 2023).
    pub fn quantised(blocks: Blocks, bias: Option<Tensor>, dtype: DType) -> Result<Self> {
        let bias = checked(bias, blocks.dims().0)?;
        Ok(Self { weight: Weight::Blocks(Arc::new(blocks), dtype, Arithmetic::Exact), bias })
    }

    /// The weight, `[out, in]`; restored where it is quantised, copied where it lies in a file.
    pub fn weight(&self) -> Result<Tensor> {
        self.weight.tensor()
    }

    /// Rows of the weight by number, u32 `[n]` to `[n, in]`.
    pub fn rows(&self, numbers: &Tensor) -> Result<Tensor> {
        self.weight.rows(numbers)
    }

    /// Outputs and inputs.
    pub fn dims(&self) -> Result<(usize, usize)> {
        self.weight.dims()
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The same weight without the bias.
    #[must_use]
    pub fn without_bias(&self) -> Self {
        Self { weight: self.weight.clone(), bias: None }
    }

    /// `x [.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) {
            let x = x.contiguous()?;
            return tape::apply1(Op { layer: self.clone(), input: x.id() }, &x);
        }
        let weight = self.weight()?.to_device(x.device())?;
        super::linear(x, &weight, self.bias.as_ref())
    }
}

struct Op {
    layer: FrozenLinear,
    /// Of the tensor that it reads.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only a GPU keeps what it rounded"))]
    input: TensorId,
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(storage_dtype(storage), "frozen-linear", forward(&self.layer, storage, layout))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::cuda::frozen_linear::forward(&self.layer, (storage, layout), self.input)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return super::cuda::frozen_linear::backward(&self.layer, x, grad).map(Some);
        }
        by_dtype!(grad.dtype(), "frozen-linear", backward(&self.layer, x, grad)).map(Some)
    }
}

pub(super) fn storage_dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage as _;
    storage.dtype()
}

fn forward<T: Element>(
    layer: &FrozenLinear,
    storage: &CpuStorage,
    layout: &Layout,
) -> Result<(CpuStorage, Shape)> {
    let x = slice_of::<T>(storage, layout, "frozen-linear")?;
    let (out, inputs) = layer.dims()?;
    let dims = layout.dims().to_vec();
    if dims.last() != Some(&inputs) {
        candle_core::bail!("frozen-linear: {inputs} inputs expected, the tensor is {dims:?}");
    }
    Ok(finished(product(layer, x, x.len() / inputs.max(1))?, dims, out))
}

/// `W x + b` of every row of `x`, `rows × in`.
pub(super) fn product<T: Element>(layer: &FrozenLinear, x: &[T], rows: usize) -> Result<Vec<T>> {
    let (out, inputs) = layer.dims()?;
    if let Some(y) = few_rows(layer, x)? {
        return Ok(y);
    }
    match &layer.weight {
        Weight::Dense(weight, packs) => {
            if let Some(y) = packs.product(weight, Side::Forward, x, layer.bias.as_ref())? {
                return Ok(y);
            }
            let mut y = weight.with_slice::<T, _>(|w| {
                let (x, w) = (Matrix::new(x, rows, inputs, inputs), Matrix::new(w, out, inputs, inputs).t());
                Ok(matrix::product(x, w, Threads::All))
            })?;
            add_bias(layer, &mut y)?;
            Ok(y)
        }
        Weight::Blocks(blocks, _, arithmetic) => {
            let mut y = vec![T::zero(); rows * out];
            add_bias(layer, &mut y)?;
            restored::forward(blocks, *arithmetic, x, &mut y);
            Ok(y)
        }
    }
}

fn add_bias<T: Element>(layer: &FrozenLinear, y: &mut [T]) -> Result<()> {
    let Some(bias) = &layer.bias else { return Ok(()) };
    with_slice::<T, _>(bias, |bias| {
        add_to_rows(y, bias);
        Ok(())
    })
}

/// Adds `row` to every row of `y`.
pub(super) fn add_to_rows<T: Element>(y: &mut [T], row: &[T]) {
    y.par_chunks_mut(row.len().max(1) * ROWS).for_each(|rows| {
        vectorised(
            #[inline(always)]
            || {
                for one in rows.chunks_exact_mut(row.len()) {
                    one.iter_mut().zip(row).for_each(|(y, &more)| *y += more);
                }
            },
        );
    });
}

/// The product where `x` has a handful of rows: every weight is read, or restored, exactly once.
fn few_rows<T: Element>(layer: &FrozenLinear, x: &[T]) -> Result<Option<Vec<T>>> {
    let Some(x) = T::as_single(x) else { return Ok(None) };
    let (out, inputs) = layer.dims()?;
    if inputs == 0 || x.len() / inputs > few::MOST {
        return Ok(None);
    }
    let mut y = vec![0.0; x.len() / inputs * out];
    let bias = layer.bias.as_ref().map(Tensor::to_vec1::<f32>).transpose()?;
    let bias = bias.as_deref();
    match &layer.weight {
        Weight::Blocks(blocks, ..) => few::multiply(&**blocks, x, inputs, bias, &mut y),
        Weight::Dense(_, packs) if packs.arithmetic != Arithmetic::Exact => return Ok(None),
        Weight::Dense(Numbers::Half(half), _) => few::multiply(half.blocks(), x, inputs, bias, &mut y),
        Weight::Dense(weight, _) => weight.with_slice::<f32, _>(|weight| {
            few::multiply(&Dense { weight, inputs }, x, inputs, bias, &mut y);
            Ok(())
        })?,
    }
    Ok(T::from_singles(y))
}

/// `y` in the shape of the input, with `out` for its last dimension.
pub(super) fn finished<T: Element>(y: Vec<T>, mut dims: Vec<usize>, out: usize) -> (CpuStorage, Shape) {
    if let Some(last) = dims.last_mut() {
        *last = out;
    }
    (T::to_cpu_storage_owned(y), dims.into())
}

fn backward<T: Element>(layer: &FrozenLinear, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(with_slice::<T, _>(grad, |g| input_gradient(layer, g))?, x.shape(), x.device())
}

/// `∂x = ∂y W` of every row of `grad`, `rows × out`.
pub(super) fn input_gradient<T: Element>(layer: &FrozenLinear, grad: &[T]) -> Result<Vec<T>> {
    let (out, inputs) = layer.dims()?;
    let rows = grad.len() / out.max(1);
    match &layer.weight {
        Weight::Dense(weight, packs) => match packs.product(weight, Side::Backward, grad, None)? {
            Some(dx) => Ok(dx),
            None => weight.with_slice::<T, _>(|w| {
                let (g, w) = (Matrix::new(grad, rows, out, out), Matrix::new(w, out, inputs, inputs));
                Ok(matrix::product(g, w, Threads::All))
            }),
        },
        Weight::Blocks(blocks, _, arithmetic) => {
            let mut dx = vec![T::zero(); rows * inputs];
            restored::backward(blocks, *arithmetic, grad, &mut dx);
            Ok(dx)
        }
    }
}

/// What one layer gives, changed by a function, through another one.
pub(super) struct Chained<T> {
    pub(super) outputs: Vec<T>,
    /// What the first layer gave, where it was asked for.
    pub(super) inner: Option<Vec<T>>,
}

/// `second(between(first(x)))` with products in bf16, some rows at a time, or on the side of the backward the same of two
/// gradients; `None` where the layers have no such products. `between` gets the numbers of some rows and what the first gave for them.
pub(super) fn chained<T: Element>(
    (first, second, side): (&FrozenLinear, &FrozenLinear, Side),
    x: &[T],
    keeps: bool,
    between: &(impl Fn(Range<usize>, &mut [T]) + Sync),
) -> Result<Option<Chained<T>>> {
    let (Weight::Dense(v, one), Weight::Dense(w, two)) = (&first.weight, &second.weight) else {
        return Ok(None);
    };
    let are_half = one.arithmetic == Arithmetic::Bf16 && two.arithmetic == Arithmetic::Bf16;
    let Some(x) = T::as_single(x).filter(|x| are_half && !x.is_empty()) else { return Ok(None) };
    let bias = |layer: &FrozenLinear| match (side, &layer.bias) {
        (Side::Forward, Some(bias)) => bias.to_vec1::<f32>().map(Some),
        _ => Ok(None),
    };
    let (b, c) = (bias(first)?, bias(second)?);
    let first = (one.half(v, side)?, b.as_deref());
    let second = (two.half(w, side)?, c.as_deref());
    let between = |rows: Range<usize>, middle: &mut [f32]| {
        if let Some(middle) = T::of_single_mut(middle) {
            between(rows, middle);
        }
    };
    let bf16::Chained { outputs, inner } = bf16::Chain { first, second, keeps }.of(x, &between);
    let inner = if keeps { T::from_singles(inner) } else { None };
    Ok(T::from_singles(outputs).map(|outputs| Chained { outputs, inner }))
}

/// The bias of a layer of `out` outputs, out of any graph.
fn checked(bias: Option<Tensor>, out: usize) -> Result<Option<Tensor>> {
    if let Some(bias) = &bias {
        bias.shape().dims1().and_then(|n| {
            if n == out { Ok(()) } else { candle_core::bail!("a bias of {n} for {out} outputs") }
        })?;
    }
    bias.map(|b| b.detach().contiguous()).transpose()
}
