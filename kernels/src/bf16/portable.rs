//! The tile in plain Rust: what runs without AVX512-BF16, and the oracle in tests.

use super::{Column, Pair};
use crate::panels::PANEL;

/// `tile[r][o] = Σ_i x[r][i] · w[o][i]`; every row of `x` has as many pairs as there are columns.
pub(super) fn tile<const R: usize>(x: [&[Pair]; R], columns: &[Column]) -> [[f32; PANEL]; R] {
    let mut sums = [[0.0; PANEL]; R];
    crate::vectorised(
        #[inline(always)]
        || {
            for (at, column) in columns.iter().enumerate() {
                for (sums, x) in sums.iter_mut().zip(x) {
                    let [even, odd] = halves(x[at]);
                    for (sum, &pair) in sums.iter_mut().zip(&column.0) {
                        let [w0, w1] = halves(pair);
                        *sum += even * w0 + odd * w1;
                    }
                }
            }
        },
    );
    sums
}

/// Both numbers of a pair.
#[inline(always)]
const fn halves(pair: Pair) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}
