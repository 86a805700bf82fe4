//! Products of a few vectors with rows of blocks: what a block stands for is computed where it is multiplied and
//! never written down.

#![expect(clippy::inline_always, reason = "a loop is vectorised only when what it calls is inlined")]

use std::ops::Range;

use hub_kernels::few::{Dense, Rows};
use pulp::{Arch, Simd, WithSimd};

use super::{
    BlockKind, Blocks,
    parts::{PART, Part},
};

/// Numbers that are restored at a time.
const STRIP: usize = 1 << 14;

impl Rows for Blocks {
    fn dots<const M: usize>(&self, rows: Range<usize>, x: [&[f32]; M], y: &mut [f32]) {
        let (weights, _) = self.kind.sizes();
        if weights == 1 {
            return self.few_numbers(rows, x, y);
        }
        let row = self.row_bytes();
        let bytes = &self.bytes.get()[rows.start * row..rows.end * row];
        let work = Dots { kind: self.kind, bytes, row, x, y };
        Arch::new().dispatch(work);
    }
}

impl Blocks {
    /// The same of numbers that stand for themselves, restored some rows at a time: they are multiplied before they leave
    /// the fast memory.
    fn few_numbers<const M: usize>(&self, rows: Range<usize>, x: [&[f32]; M], y: &mut [f32]) {
        let most = (STRIP / self.columns.max(1)).max(1);
        let mut restored = vec![0.0; most.min(rows.len()) * self.columns];
        for (first, y) in rows.clone().step_by(most).zip(y.chunks_mut(most * M)) {
            let count = most.min(rows.end - first);
            let restored = &mut restored[..count * self.columns];
            self.rows(first, restored);
            Dense { weight: restored, inputs: self.columns }.dots(0..count, x, y);
        }
    }
}

/// `y [rows, M]`, the products of every row of blocks with every `x`.
struct Dots<'a, const M: usize> {
    kind: BlockKind,
    bytes: &'a [u8],
    /// Bytes of a row.
    row: usize,
    x: [&'a [f32]; M],
    y: &'a mut [f32],
}

impl<const M: usize> WithSimd for Dots<'_, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.kind.known(
            #[inline(always)]
            |kind| self.of_kind(simd, kind),
        );
    }
}

impl<const M: usize> Dots<'_, M> {
    #[inline(always)]
    fn of_kind<S: Simd>(self, simd: S, kind: BlockKind) {
        let (weights, size) = kind.sizes();
        for (row, y) in self.bytes.chunks_exact(self.row).zip(self.y.chunks_exact_mut(M)) {
            // Two sums for each, so that none waits for the one before.
            let mut sums = [[simd.splat_f32s(0.0); 2]; M];
            for (place, block) in row.chunks_exact(size).enumerate() {
                let x = self.x.map(|x| &x[place * weights..(place + 1) * weights]);
                kind.parts(
                    block,
                    #[inline(always)]
                    |at, part| add(simd, &part, x.map(|x| &x[at * PART..(at + 1) * PART]), &mut sums),
                );
            }
            for (y, [a, b]) in y.iter_mut().zip(sums) {
                *y = simd.reduce_sum_f32s(simd.add_f32s(a, b));
            }
        }
    }
}

/// `sums += w · x` of a part.
#[inline(always)]
fn add<S: Simd, const M: usize>(simd: S, part: &Part, x: [&[f32]; M], sums: &mut [[S::f32s; 2]; M]) {
    let (q, _) = S::as_simd_f32s(&part.q);
    let scales = part.d.map(|d| simd.splat_f32s(d));
    let m = simd.splat_f32s(part.m);
    for (at, &q) in q.iter().enumerate() {
        let w = simd.mul_add_e_f32s(q, scales[at * 2 / q_vectors::<S>()], m);
        for (sums, x) in sums.iter_mut().zip(x) {
            let (x, _) = S::as_simd_f32s(x);
            sums[at % 2] = simd.mul_add_e_f32s(w, x[at], sums[at % 2]);
        }
    }
}

/// Vectors of a part.
const fn q_vectors<S: Simd>() -> usize {
    PART / S::F32_LANES
}
