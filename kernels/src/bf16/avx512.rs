//! The tile with AVX512-BF16: the project's only vector instructions written by hand.
#![expect(unsafe_code, reason = "instructions that the compiler does not choose by itself")]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_load_si512, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::{Column, Pair};
use crate::panels::PANEL;

/// Numbers in a vector.
const LANES: usize = 16;
/// Vectors in a panel.
const VECTORS: usize = PANEL / LANES;

/// Whether the processor has the instructions.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// `tile[r][o] = Σ_i x[r][i] · w[o][i]`; every row of `x` has as many pairs as there are columns.
///
/// # Panics
/// If it has not, or if the processor lacks the instructions.
pub(super) fn tile<const R: usize>(x: [&[Pair]; R], columns: &[Column]) -> [[f32; PANEL]; R] {
    assert!(is_there(), "AVX512-BF16");
    assert!(x.iter().all(|row| row.len() == columns.len()), "pairs in a row");
    // SAFETY: the processor has the instructions, and every row is as long as the loop; both were
    // asserted just now.
    unsafe { sums(x, columns) }
}

/// # Safety
/// Every row of `x` must have as many pairs as there are columns.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn sums<const R: usize>(x: [&[Pair]; R], columns: &[Column]) -> [[f32; PANEL]; R] {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; R];
    for (at, column) in columns.iter().enumerate() {
        let weights: [__m512bh; VECTORS] = std::array::from_fn(|v| load(column, v));
        for (sums, x) in sums.iter_mut().zip(x) {
            // SAFETY: `at` is below the number of columns, which is the length of the row.
            let pair = unsafe { *x.get_unchecked(at) };
            let pair = as_bf16(_mm512_set1_epi32(pair.cast_signed()));
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_dpbf16_ps(*sum, pair, weights);
            }
        }
    }
    let mut tile = [[0.0; PANEL]; R];
    for (tile, sums) in tile.iter_mut().zip(sums) {
        let (vectors, _) = tile.as_chunks_mut::<LANES>();
        vectors.iter_mut().zip(sums).for_each(|(to, sum)| store(to, sum));
    }
    tile
}

/// The `vector`-th vector of a column.
#[target_feature(enable = "avx512f")]
fn load(column: &Column, vector: usize) -> __m512bh {
    let (vectors, _) = column.0.as_chunks::<LANES>();
    // SAFETY: sixteen numbers of four bytes are 64 readable bytes, and `Column` is aligned to 64, of
    // which every vector's offset is a multiple.
    as_bf16(unsafe { _mm512_load_si512(vectors[vector].as_ptr().cast()) })
}

#[target_feature(enable = "avx512f")]
fn store(to: &mut [f32; LANES], sums: __m512) {
    // SAFETY: sixteen numbers of four bytes are 64 writable bytes; the store asks for no alignment.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), sums) }
}

/// The same 64 bytes read as 32 numbers.
#[target_feature(enable = "avx512f")]
fn as_bf16(bytes: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes of which every pattern is a value.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bytes) }
}
