//! Products in single precision with a frozen weight that was packed once.
//!
//! `gemm` brings the weight into the order of its inner loop at every product. With many rows that is
//! lost in the work, with a few it is most of it.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    panels::{self, PANEL, ROWS, Side},
    spread::{self, Kernel, Product, Target, tiles},
};

/// An input of a panel.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Column([f32; PANEL]);

/// A frozen matrix, packed for one side.
pub struct Packed {
    outputs: usize,
    inputs: usize,
    /// All columns of the first panel, of the second, ...
    columns: Vec<Column>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "f32 [{}, {}]", self.outputs, self.inputs)
    }
}

impl Packed {
    /// Packs `weight [out, in]`, row-major, for one side of a linear layer.
    ///
    /// # Panics
    /// If `weight` has another size than `dims`.
    pub fn new(weight: &[f32], dims: (usize, usize), side: Side) -> Self {
        let (outputs, inputs) = side.sizes(dims);
        let mut columns = vec![Column([0.0; PANEL]); outputs.div_ceil(PANEL) * inputs];
        panels::pack(weight, dims, side, (&mut columns, 1), |column, _, weights| column.0 = *weights);
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
        self.product_on(Arch::new(), x, bias)
    }

    fn product_on(&self, arch: Arch, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let product = Product::of(x, self.inputs, self.outputs);
        spread::run(&Run { packed: self, x, arch }, product, bias)
    }
}

/// One product.
struct Run<'a> {
    packed: &'a Packed,
    x: &'a [f32],
    arch: Arch,
}

impl Kernel for Run<'_> {
    fn panel(&self, panel: usize, rows: Range<usize>, target: &mut Target<'_>) {
        let inputs = self.packed.inputs;
        let columns = &self.packed.columns[panel * inputs..][..inputs];
        let x = &self.x[rows.start * inputs..rows.end * inputs];
        tiles(rows.len(), |first, count| {
            let x = &x[first * inputs..(first + count) * inputs];
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
    fn tile<const R: usize>(&self, x: &[f32], columns: &[Column], first: usize, target: &mut Target<'_>) {
        let inputs = self.packed.inputs;
        let x = std::array::from_fn(|row| &x[row * inputs..(row + 1) * inputs]);
        target.store(&self.arch.dispatch(Tile::<R> { x, columns }), first);
    }
}

/// `tile[r][o] = Σ_i x[r][i] · w[o][i]`
#[derive(Clone, Copy)]
struct Tile<'a, const R: usize> {
    x: [&'a [f32]; R],
    columns: &'a [Column],
}

impl<const R: usize> WithSimd for Tile<'_, R> {
    type Output = [[f32; PANEL]; R];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        // As many vectors in a panel as it takes; the sums of eight rows fit the registers of AVX-512
        // only, so narrower vectors take a part of the panel at a time.
        match S::F32_LANES {
            16 => sums::<S, R, 3>(simd, self),
            _ => sums::<S, R, 2>(simd, self),
        }
    }
}

/// The tile, `V` vectors of every column at a time.
#[inline(always)]
fn sums<S: Simd, const R: usize, const V: usize>(simd: S, of: Tile<'_, R>) -> [[f32; PANEL]; R] {
    let mut tile = [[0.0; PANEL]; R];
    let vectors = PANEL / S::F32_LANES;
    for part in (0..vectors).step_by(V) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (at, column) in of.columns.iter().enumerate() {
            let weights = &S::as_simd_f32s(&column.0).0[part..part + V];
            for (sums, x) in sums.iter_mut().zip(of.x) {
                let x = simd.splat_f32s(x[at]);
                for (sum, &weights) in sums.iter_mut().zip(weights) {
                    *sum = simd.mul_add_e_f32s(x, weights, *sum);
                }
            }
        }
        for (tile, sums) in tile.iter_mut().zip(&sums) {
            S::as_mut_simd_f32s(tile).0[part..part + V].copy_from_slice(sums);
        }
    }
    tile
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::numbers;

    #[test]
    fn every_form_computes_the_product() {
        let cases = [(1, 1, 1), (3, 48, 2), (8, 49, 7), (13, 96, 32), (200, 130, 65), (17, 1000, 384)];
        for (rows, out, inputs) in cases {
            for side in [Side::Forward, Side::Backward] {
                let (outputs, length) = side.sizes((out, inputs));
                let (x, w) = (numbers(rows * length, 1), numbers(out * inputs, 2));
                let bias = numbers(outputs, 3);
                let packed = Packed::new(&w, (out, inputs), side);
                let weight = |o: usize, i: usize| match side {
                    Side::Forward => w[o * inputs + i],
                    Side::Backward => w[i * inputs + o],
                };
                for arch in [Arch::new(), Arch::Scalar] {
                    let y = packed.product_on(arch, &x, Some(&bias));
                    assert_eq!(y.len(), rows * outputs);
                    for (at, &y) in y.iter().enumerate() {
                        let (row, o) = (at / outputs, at % outputs);
                        let sum = (0..length)
                            .map(|i| f64::from(x[row * length + i]) * f64::from(weight(o, i)))
                            .sum::<f64>();
                        let error = (f64::from(y) - sum - f64::from(bias[o])).abs() / (length as f64).sqrt();
                        assert!(error < 2e-6, "{rows} x {out} x {inputs} {side:?}: {error:e}");
                    }
                }
            }
        }
    }
}
