//! The operations a frozen backbone is made of, each with a real backward.
//!
//! candle's own matrix product computes the gradient of a weight even when the
//! weight is frozen, and candle-nn's fused norms and softmax silently cut the
//! graph. So the block stands on these instead: their backward computes the
//! gradient of the input only, and each is checked against finite differences.
//!
//! On a CPU an operation is one fused kernel, on a GPU few (`cuda`, single precision only); elsewhere it falls back
//! to the composition of candle operations that is also its oracle in the tests.

#![expect(clippy::inline_always, reason = "a loop is vectorised only when what it calls is inlined")]

mod activation;
pub(crate) mod adamw;
mod attention;
mod cross_entropy;
#[cfg(feature = "cuda")]
mod cuda;
mod disentangled;
mod dropout;
mod element;
mod feed_forward;
mod frozen_linear;
mod inverse;
mod linear;
mod low_rank;
mod matrix;
mod norm;
mod rotary;
mod rows;
mod sum;
mod tape;
mod word_losses;

pub use activation::{activate, prelu};
pub use attention::{Attention, KeyMask};
pub(crate) use cross_entropy::composed as composed_cross_entropy;
pub use cross_entropy::cross_entropy_rows;
pub use disentangled::{PositionScores, RelativePositions, disentangled};
pub use dropout::{DropoutKey, dropout};
pub use feed_forward::{FeedForward, activated, gated};
pub use frozen_linear::{Arithmetic, FrozenLinear, HalfMatrix, MappedMatrix};
pub use inverse::inverse;
pub use linear::linear;
pub use low_rank::LowRank;
pub use norm::{Norm, trainable_norm};
pub use rotary::Rotary;
pub use rows::select_rows;
pub(crate) use sum::added;
pub use sum::sum;
pub use tape::{Gradients, Recording};
pub use word_losses::word_losses;

use candle_core::{DType, Device, Result, Tensor};
use element::Element;

/// What a custom operation is given for each of its tensors.
type Arg<'a> = (&'a candle_core::CpuStorage, &'a candle_core::Layout);

/// `Σ f(x)` of a row.
#[inline(always)]
fn lanes<T: Element>(row: &[T], f: impl Fn(T) -> T) -> T {
    lanes3(row, row, row, |x, _, _| f(x))
}

/// `Σ f(a, b, c)` of three rows. Several partial sums: one would be a chain the CPU waits for.
#[inline(always)]
fn lanes3<T: Element>(a: &[T], b: &[T], c: &[T], f: impl Fn(T, T, T) -> T) -> T {
    let mut sums = [T::zero(); 16];
    let ([a, b, c], [a_tail, b_tail, c_tail]) = {
        let split = [a, b, c].map(|row| row.as_chunks::<16>());
        (split.map(|(chunks, _)| chunks), split.map(|(_, tail)| tail))
    };
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += f(a[lane], b[lane], c[lane]);
        }
    }
    let tails = a_tail.iter().zip(b_tail).zip(c_tail);
    let tail = tails.fold(T::zero(), |sum, ((&a, &b), &c)| sum + f(a, b, c));
    sums.iter().fold(tail, |total, &sum| total + sum)
}

/// The largest number of a row.
#[inline(always)]
fn largest<T: Element>(row: &[T]) -> T {
    let larger = |max: T, x: T| if x > max { x } else { max };
    let (chunks, tail) = row.as_chunks::<16>();
    let mut most = [T::neg_infinity(); 16];
    for chunk in chunks {
        for (max, &x) in most.iter_mut().zip(chunk) {
            *max = larger(*max, x);
        }
    }
    most.iter().chain(tail).fold(T::neg_infinity(), |max, &x| larger(max, x))
}

/// Whether the fused kernels apply.
fn is_fused(x: &Tensor) -> bool {
    let has_loops = matches!((x.device(), x.dtype()), (Device::Cpu, DType::F32 | DType::F64));
    has_loops || cfg!(feature = "cuda") && x.device().is_cuda() && x.dtype() == DType::F32
}

/// Calls `use_slice` with the elements of a contiguous CPU tensor.
fn with_slice<T: Element, R>(tensor: &Tensor, use_slice: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        candle_core::bail!("a fused kernel was given a tensor on {:?}", tensor.device())
    };
    let all = T::cpu_storage_as_slice(storage)?;
    use_slice(&all[layout.start_offset()..layout.start_offset() + tensor.elem_count()])
}

/// The elements that a contiguous layout covers.
fn slice_of<'a, T: Element>(
    storage: &'a candle_core::CpuStorage,
    layout: &candle_core::Layout,
    op: &'static str,
) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op }.bt()),
    }
}

/// Runs a generic kernel for the element type at hand.
macro_rules! by_dtype {
    ($dtype:expr, $op:literal, $kernel:ident ( $($argument:expr),* $(,)? )) => {
        match $dtype {
            candle_core::DType::F32 => $kernel::<f32>($($argument),*),
            candle_core::DType::F64 => $kernel::<f64>($($argument),*),
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, $op).bt()),
        }
    };
}
use by_dtype;

#[cfg(test)]
mod tests;
