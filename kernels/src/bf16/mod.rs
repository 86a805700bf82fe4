//! Products of numbers rounded to bf16, with sums in single precision.
//!
//! `y = bf16(x) · bf16(W)ᵀ`: an operand loses at most one part in 512, the sum nothing. With
//! AVX512-BF16 a core multiplies twice as many of them as single-precision numbers.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::ops::Range;

use crate::{
    panels::{self, PANEL, ROWS, Side},
    spread::{self, Kernel, Product, Target, tiles},
};

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
    /// If the sizes of `x`, `bias` and `y` do not fit together.
    pub fn multiply(&self, x: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        self.multiply_by(x, bias, y, is_fast());
    }

    fn multiply_by(&self, x: &[f32], bias: Option<&[f32]>, y: &mut [f32], fast: bool) {
        let rows = x.len() / self.inputs.max(1);
        assert_eq!(x.len(), rows * self.inputs, "size of x");
        let pairs = self.inputs.div_ceil(2);
        let mut x16 = vec![0; rows * pairs];
        let round_row = |(to, from): (&mut [Pair], &[f32])| round_row(from, to);
        if x.len() < 1 << 15 {
            x16.chunks_exact_mut(pairs.max(1)).zip(x.chunks_exact(self.inputs.max(1))).for_each(round_row);
        } else {
            use rayon::prelude::*;
            let rows = x16.par_chunks_exact_mut(pairs).zip(x.par_chunks_exact(self.inputs));
            rows.with_min_len(ROWS).for_each(round_row);
        }
        let product = Product { rows, outputs: self.outputs, inputs: self.inputs };
        spread::run(&Run { packed: self, x: &x16, pairs, fast }, product, bias, y);
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
    fn panel(&self, panel: usize, rows: Range<usize>, mut target: Target<'_>) {
        let columns = &self.packed.columns[panel * self.pairs..][..self.pairs];
        let x = &self.x[rows.start * self.pairs..rows.end * self.pairs];
        tiles(rows.len(), |first, count| {
            let x = &x[first * self.pairs..(first + count) * self.pairs];
            match count {
                ROWS => self.tile::<ROWS>(x, columns, first, &mut target),
                7 => self.tile::<7>(x, columns, first, &mut target),
                6 => self.tile::<6>(x, columns, first, &mut target),
                5 => self.tile::<5>(x, columns, first, &mut target),
                4 => self.tile::<4>(x, columns, first, &mut target),
                3 => self.tile::<3>(x, columns, first, &mut target),
                2 => self.tile::<2>(x, columns, first, &mut target),
                _ => self.tile::<1>(x, columns, first, &mut target),
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

/// Rounds a row into pairs; behind an odd last input stands a zero.
fn round_row(from: &[f32], to: &mut [Pair]) {
    crate::vectorised(
        #[inline(always)]
        || {
            let (pairs, rest) = from.as_chunks::<2>();
            for (to, &[even, odd]) in to.iter_mut().zip(pairs) {
                *to = round(even) | round(odd) << 16;
            }
            if let (Some(to), &[last]) = (to.last_mut(), rest) {
                *to = round(last);
            }
        },
    );
}

#[cfg(test)]
mod tests;
