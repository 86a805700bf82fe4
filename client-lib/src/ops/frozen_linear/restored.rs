//! Products of many rows with a quantised weight, which is restored part by part: all of it would be several times its size.

use hub_formats::checkpoint::Blocks;
use hub_kernels::{Side, bf16};
use rayon::prelude::*;

use super::{
    super::{
        element::Element,
        matrix::{Matrix, Threads, Window, multiply_into},
    },
    Arithmetic,
};

/// Numbers of a part: enough that what a product does once for each is little beside the product.
const PART: usize = 1 << 20;
/// Rows that a thread restores, or adds, at a time.
const ROWS: usize = 16;

/// `y [rows, out] += x [rows, in] · Wᵀ`.
pub(super) fn forward<T: Element>(blocks: &Blocks, arithmetic: Arithmetic, x: &[T], y: &mut [T]) {
    forward_by(PART, blocks, arithmetic, x, y);
}

fn forward_by<T: Element>(size: usize, blocks: &Blocks, arithmetic: Arithmetic, x: &[T], y: &mut [T]) {
    let (out, inputs) = blocks.dims();
    let rows = x.len() / inputs.max(1);
    if rows == 0 {
        return;
    }
    for_parts::<T>(blocks, size, |first, w| {
        let part = w.len() / inputs;
        if let (Some(w), Some(x)) = (T::as_single(w), T::as_single(x))
            && arithmetic == Arithmetic::Bf16
        {
            let own = bf16::Packed::new(w, (part, inputs), Side::Forward).product(x, None);
            let Some(y) = T::as_single_mut(y) else { return };
            let rows = y.par_chunks_exact_mut(out).zip(own.par_chunks_exact(part)).with_min_len(ROWS);
            return rows.for_each(|(y, own)| add(&mut y[first..first + part], own));
        }
        let x = Matrix::new(x, rows, inputs, inputs);
        let y = Window::new(&mut y[first..], out);
        multiply_into(y, x, Matrix::new(w, part, inputs, inputs).t(), T::one(), true, Threads::All);
    });
}

/// `dx [rows, in] += g [rows, out] · W`.
pub(super) fn backward<T: Element>(blocks: &Blocks, arithmetic: Arithmetic, g: &[T], dx: &mut [T]) {
    backward_by(PART, blocks, arithmetic, g, dx);
}

fn backward_by<T: Element>(size: usize, blocks: &Blocks, arithmetic: Arithmetic, g: &[T], dx: &mut [T]) {
    let (out, inputs) = blocks.dims();
    let rows = g.len() / out.max(1);
    if rows == 0 {
        return;
    }
    for_parts::<T>(blocks, size, |first, w| {
        let part = w.len() / inputs;
        if let (Some(w), Some(g)) = (T::as_single(w), T::as_single(g))
            && arithmetic == Arithmetic::Bf16
        {
            let own: Vec<f32> = g.chunks_exact(out).flat_map(|g| &g[first..first + part]).copied().collect();
            let sum = bf16::Packed::new(w, (part, inputs), Side::Backward).product(&own, None);
            let Some(dx) = T::as_single_mut(dx) else { return };
            let rows = dx.par_chunks_exact_mut(inputs).zip(sum.par_chunks_exact(inputs)).with_min_len(ROWS);
            return rows.for_each(|(dx, sum)| add(dx, sum));
        }
        let g = Matrix::new(&g[first..], rows, part, out);
        let dx = Window::new(dx, inputs);
        multiply_into(dx, g, Matrix::new(w, part, inputs, inputs), T::one(), true, Threads::All);
    });
}

fn add(to: &mut [f32], more: &[f32]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
}

/// Calls `take` with the number of a row and the restored numbers of some rows from there on, until all were
/// restored once.
fn for_parts<T: Element>(blocks: &Blocks, size: usize, mut take: impl FnMut(usize, &[T])) {
    let (rows, columns) = blocks.dims();
    if columns == 0 {
        return;
    }
    let most = (size / columns).clamp(1, rows.max(1));
    let mut part = vec![T::zero(); most * columns];
    for first in (0..rows).step_by(most) {
        let part = &mut part[..most.min(rows - first) * columns];
        part.par_chunks_mut(ROWS * columns).enumerate().for_each(|(i, out)| {
            restore(blocks, first + i * ROWS, out);
        });
        take(first, part);
    }
}

/// Rows from `first` on, as many as fill `out`.
fn restore<T: Element>(blocks: &Blocks, first: usize, out: &mut [T]) {
    if let Some(out) = T::as_single_mut(out) {
        return blocks.rows(first, out);
    }
    let mut single = vec![0.0; out.len()];
    blocks.rows(first, &mut single);
    out.iter_mut().zip(single).for_each(|(out, value)| *out = T::constant(f64::from(value)));
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use hub_formats::checkpoint::BlockKind;

    use super::*;

    const DIMS: (usize, usize) = (70, 48);
    const ROWS_OF_X: usize = 9;

    fn numbers(count: usize, seed: f64) -> Vec<f64> {
        (0..count).map(|i| f64::from((seed * (i as f64 + 1.0)).sin() as f32)).collect()
    }

    /// The largest difference to the product in double precision, for parts of `rows` rows.
    fn errors<T: Element>(rows: usize, arithmetic: Arithmetic) -> [f64; 2] {
        let (out, inputs) = DIMS;
        let (w, x, g) =
            (numbers(out * inputs, 0.7), numbers(ROWS_OF_X * inputs, 1.3), numbers(ROWS_OF_X * out, 2.1));
        let bytes = w.iter().flat_map(|&w| (w as f32).to_le_bytes()).collect();
        let blocks = Blocks::new(BlockKind::F32, DIMS, bytes).expect("blocks");
        let own = |numbers: &[f64]| numbers.iter().map(|&x| T::constant(x)).collect::<Vec<T>>();
        let mut y = vec![T::one(); ROWS_OF_X * out];
        forward_by(rows * inputs, &blocks, arithmetic, &own(&x), &mut y);
        let mut dx = vec![T::one(); ROWS_OF_X * inputs];
        backward_by(rows * inputs, &blocks, arithmetic, &own(&g), &mut dx);
        let tensor = |numbers: Vec<f64>, columns| {
            Tensor::from_vec(numbers, ((), columns), &Device::Cpu).expect("a matrix")
        };
        let (w, x, g) = (tensor(w, inputs), tensor(x, inputs), tensor(g, out));
        let expected = [x.matmul(&w.t().expect("turns")), g.matmul(&w)];
        let found = [(y, out), (dx, inputs)];
        std::array::from_fn(|i| {
            let (found, columns) = found[i].clone();
            let found = Tensor::from_vec(found, ((), columns), &Device::Cpu).expect("a matrix");
            let found = found.to_dtype(DType::F64).expect("converts");
            // What is there already stays.
            let apart = (found - expected[i].as_ref().expect("multiplies")).and_then(|apart| apart - 1.0);
            let worst = apart.and_then(|apart| apart.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>());
            worst.expect("compares")
        })
    }

    #[test]
    fn parts_of_any_size_give_the_product_in_every_precision() {
        for rows in [1, 16, 33, 70, 1000] {
            for error in errors::<f64>(rows, Arithmetic::Bf16) {
                assert!(error < 1e-12, "{rows}: {error:e}");
            }
            for error in errors::<f32>(rows, Arithmetic::Exact) {
                assert!(error < 1e-5, "{rows}: {error:e}");
            }
            for error in errors::<f32>(rows, Arithmetic::Bf16) {
                assert!(error > 1e-5 && error < 0.1, "{rows}: {error:e}");
            }
        }
    }
}
