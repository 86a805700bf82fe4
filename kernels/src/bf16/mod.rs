//! Products of numbers rounded to bf16, with sums in single precision.
//!
//! `y = bf16(x) · bf16(W)ᵀ`: an operand loses at most one part in 512, the sum nothing. With
//! AVX512-BF16 a core multiplies twice as many of them as single-precision numbers.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod chain;
mod portable;

use std::ops::Range;

use crate::{
    fresh::{self, Blank, Filled},
    panels::{self, PANEL, ROWS, Side},
    spread::{self, Kernel, Product, Target, tiles},
};

pub use chain::{Chain, Chained};

/// Rows that a thread rounds at a time.
const ROUNDED: usize = 64;

/// Two numbers in bf16: that of the even input in the low half.
type Pair = u32;

/// Two inputs of a panel.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Column([Pair; PANEL]);

/// A frozen matrix, rounded to bf16 and packed for one side.
pub struct Packed {
    outputs: usize,
    inputs: usize,
    /// All columns of the first panel, of the second, ...
    columns: Vec<Column>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bf16 [{}, {}]", self.outputs, self.inputs)
    }
}

/// Whether this processor multiplies bf16 faster than single precision.
pub fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return avx512::is_there();
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

impl Packed {
    /// Packs `weight [out, in]`, row-major, for one side of a linear layer.
    ///
    /// # Panics
    /// If `weight` has another size than `dims`.
    pub fn new(weight: &[f32], dims: (usize, usize), side: Side) -> Self {
        let (outputs, inputs) = side.sizes(dims);
        let pairs = inputs.div_ceil(2);
        let mut columns = vec![Column([0; PANEL]); outputs.div_ceil(PANEL) * pairs];
        panels::pack(weight, dims, side, (&mut columns, 2), |column, place, weights| {
            column.0.iter_mut().zip(weights).for_each(|(pair, &w)| *pair |= round(w) << (16 * place));
        });
        Self { outputs, inputs, columns }
    }

    /// Outputs of the product.
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// `y [m, outputs] = x [m, inputs] · wᵀ + bias`, on all threads of the current pool.
    ///
    /// # Panics
    /// If the sizes of `x` and `bias` do not fit together.
    pub fn product(&self, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.product_by(x, bias, is_fast())
    }

    fn product_by(&self, x: &[f32], bias: Option<&[f32]>, fast: bool) -> Vec<f32> {
        let product = Product::of(x, self.inputs, self.outputs);
        let x16 = if x.len() < 1 << 15 {
            rounded(x, self.inputs)
        } else {
            let [x16] = fresh::matrices(product.rows, ROUNDED, [self.inputs.div_ceil(2)], |rows, [to]| {
                [round_rows(&x[rows.start * self.inputs..rows.end * self.inputs], self.inputs, to)]
            });
            x16
        };
        spread::run(&self.run(&x16, fast), product, bias)
    }

    /// The same of some rows on this thread, into `to [m, outputs]`.
    fn fill<'a>(&self, x: &[f32], bias: Option<&[f32]>, to: Blank<'a, f32>) -> Filled<'a, f32> {
        let Product { rows, outputs, inputs } = Product::of(x, self.inputs, self.outputs);
        spread::fill(&self.run(&rounded(x, inputs), is_fast()), 0..rows, outputs, bias, to)
    }

    /// The product with rounded rows.
    const fn run<'a>(&'a self, x: &'a [Pair], fast: bool) -> Run<'a> {
        Run { packed: self, x, pairs: self.inputs.div_ceil(2), fast }
    }
}

/// One product.
struct Run<'a> {
    packed: &'a Packed,
    /// `[m, pairs]`.
    x: &'a [Pair],
    pairs: usize,
    fast: bool,
}

impl Kernel for Run<'_> {
    fn panel(&self, panel: usize, rows: Range<usize>, target: &mut Target<'_>) {
        let columns = &self.packed.columns[panel * self.pairs..][..self.pairs];
        let x = &self.x[rows.start * self.pairs..rows.end * self.pairs];
        tiles(rows.len(), |first, count| {
            let x = &x[first * self.pairs..(first + count) * self.pairs];
            match count {
                ROWS => self.tile::<ROWS>(x, columns, first, target),
                7 => self.tile::<7>(x, columns, first, target),
                6 => self.tile::<6>(x, columns, first, target),
                5 => self.tile::<5>(x, columns, first, target),
                4 => self.tile::<4>(x, columns, first, target),
                3 => self.tile::<3>(x, columns, first, target),
                2 => self.tile::<2>(x, columns, first, target),
                _ => self.tile::<1>(x, columns, first, target),
            }
        });
    }
}

impl Run<'_> {
    fn tile<const R: usize>(&self, x: &[Pair], columns: &[Column], first: usize, target: &mut Target<'_>) {
        let x: [&[Pair]; R] = std::array::from_fn(|row| &x[row * self.pairs..(row + 1) * self.pairs]);
        #[cfg(target_arch = "x86_64")]
        if self.fast {
            return target.store(&avx512::tile(x, columns), first);
        }
        target.store(&portable::tile(x, columns), first);
    }
}

/// The nearest bf16, ties to even; what is not a number stays one.
const fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() {
        return bits >> 16 | 0x40;
    }
    (bits + (0x7fff + (bits >> 16 & 1))) >> 16
}

/// Rows of `inputs` numbers as pairs; behind an odd last one stands a zero.
fn rounded(x: &[f32], inputs: usize) -> Vec<Pair> {
    let rows = x.len() / inputs.max(1);
    fresh::alone(rows * inputs.div_ceil(2), |to| round_rows(x, inputs, to))
}

/// The same into `to`.
fn round_rows<'a>(x: &[f32], inputs: usize, to: Blank<'a, Pair>) -> Filled<'a, Pair> {
    crate::vectorised_once(
        #[inline(always)]
        || {
            if inputs.is_multiple_of(2) {
                let (pairs, _) = x.as_chunks::<2>();
                return to.fill(pairs.iter().map(|&[even, odd]| round(even) | round(odd) << 16));
            }
            let pair = |pair: &[f32]| match *pair {
                [even, odd] => round(even) | round(odd) << 16,
                [last] => round(last),
                _ => 0,
            };
            to.fill(x.chunks_exact(inputs).flat_map(|row| row.chunks(2).map(pair)))
        },
    )
}

#[cfg(test)]
mod tests;
