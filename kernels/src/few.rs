//! Products of one to four rows: every weight is read once, so its order in memory does not matter and
//! nothing is packed. The weights may be restored from a smaller form on the way.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of `x` at most.
pub const MOST: usize = 4;
/// Rows of the weight that are multiplied at a time.
const GROUP: usize = 8;
/// Numbers of a weight that a thread takes at a time, at least.
const SHARE: usize = 1 << 12;
/// Multiplications below which waking another thread costs more than it gives.
const ALONE: usize = 1 << 15;

/// The rows of a weight `[out, in]`.
pub trait Rows: Sync {
    /// `y [rows, M]`, the products of these rows with every `x`, each as long as a row.
    fn dots<const M: usize>(&self, rows: Range<usize>, x: [&[f32]; M], y: &mut [f32]);
}

/// A weight that lies in memory row after row.
#[derive(Debug, Clone, Copy)]
pub struct Dense<'a> {
    /// `[out, in]`.
    pub weight: &'a [f32],
    /// Columns.
    pub inputs: usize,
}

impl Rows for Dense<'_> {
    fn dots<const M: usize>(&self, rows: Range<usize>, x: [&[f32]; M], y: &mut [f32]) {
        let weights = &self.weight[rows.start * self.inputs..rows.end * self.inputs];
        Arch::new().dispatch(Dots { weights, x, y });
    }
}

/// `y [m, outputs] = x [m, inputs] · wᵀ + bias` for `m` up to [`MOST`], on all threads of the current
/// pool.
///
/// # Panics
/// If the sizes do not fit together, or `x` has more rows.
pub fn multiply(weight: &impl Rows, x: &[f32], inputs: usize, bias: Option<&[f32]>, y: &mut [f32]) {
    let m = x.len() / inputs.max(1);
    assert!(m <= MOST && m * inputs == x.len(), "{m} rows of {inputs}");
    if y.is_empty() || m == 0 {
        return;
    }
    let outputs = y.len() / m;
    assert!(outputs * m == y.len(), "size of the product");
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "size of the bias");
    match m {
        1 => of_rows::<1>(weight, x, inputs, bias, y),
        2 => of_rows::<2>(weight, x, inputs, bias, y),
        3 => of_rows::<3>(weight, x, inputs, bias, y),
        _ => of_rows::<4>(weight, x, inputs, bias, y),
    }
}

fn of_rows<const M: usize>(
    weight: &impl Rows,
    x: &[f32],
    inputs: usize,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let outputs = y.len() / M;
    let x: [&[f32]; M] = std::array::from_fn(|row| &x[row * inputs..(row + 1) * inputs]);
    let part = |first: usize, y: &mut [f32]| {
        let rows = first..first + y.len() / M;
        weight.dots(rows.clone(), x, y);
        if let Some(bias) = bias {
            y.chunks_exact_mut(M).zip(&bias[rows]).for_each(|(y, b)| y.iter_mut().for_each(|y| *y += b));
        }
    };
    let all = |y: &mut [f32]| {
        if M * outputs * inputs < ALONE {
            return part(0, y);
        }
        // A few shares for each thread: handing over each would cost as much as computing it.
        let least = (SHARE / inputs.max(1)).next_multiple_of(GROUP);
        let share = least * (outputs / least / (4 * rayon::current_num_threads())).max(1);
        y.par_chunks_mut(share * M).enumerate().for_each(|(i, y)| part(i * share, y));
    };
    if M == 1 {
        return all(y);
    }
    let mut turned = vec![0.0; y.len()];
    all(&mut turned);
    for (output, values) in turned.chunks_exact(M).enumerate() {
        values.iter().enumerate().for_each(|(row, &value)| y[row * outputs + output] = value);
    }
}

/// `y [out, M]`, the products of every row of `weights` with every `x`.
struct Dots<'a, const M: usize> {
    weights: &'a [f32],
    x: [&'a [f32]; M],
    y: &'a mut [f32],
}

impl<const M: usize> WithSimd for Dots<'_, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let inputs = self.x[0].len();
        if inputs == 0 {
            return self.y.fill(0.0);
        }
        let mut weights = self.weights.chunks_exact(inputs);
        let mut groups = self.y.chunks_exact_mut(GROUP * M);
        for y in &mut groups {
            let rows: [&[f32]; GROUP] = std::array::from_fn(|_| weights.next().unwrap_or_default());
            // More sums than registers would be kept in memory.
            if M == 1 {
                group::<S, M, GROUP>(simd, rows, self.x, y);
            } else {
                let (first, second) = y.split_at_mut(GROUP / 2 * M);
                group::<S, M, { GROUP / 2 }>(simd, std::array::from_fn(|i| rows[i]), self.x, first);
                let rows = std::array::from_fn(|i| rows[GROUP / 2 + i]);
                group::<S, M, { GROUP / 2 }>(simd, rows, self.x, second);
            }
        }
        for (y, row) in groups.into_remainder().chunks_exact_mut(M).zip(weights) {
            group::<S, M, 1>(simd, [row], self.x, y);
        }
    }
}

/// Products of `G` rows of the weight with `M` rows of `x`.
#[inline(always)]
fn group<S: Simd, const M: usize, const G: usize>(
    simd: S,
    weights: [&[f32]; G],
    x: [&[f32]; M],
    y: &mut [f32],
) {
    let vectors = x[0].len() / S::F32_LANES;
    let whole = weights.map(|row| &S::as_simd_f32s(row).0[..vectors]);
    let whole_x = x.map(|row| &S::as_simd_f32s(row).0[..vectors]);
    let mut sums = [[simd.splat_f32s(0.0); M]; G];
    for at in 0..vectors {
        let x = whole_x.map(|x| x[at]);
        for (sums, row) in sums.iter_mut().zip(whole) {
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum = simd.mul_add_e_f32s(row[at], x, *sum));
        }
    }
    let rest = vectors * S::F32_LANES;
    for ((y, sums), row) in y.chunks_exact_mut(M).zip(sums).zip(weights) {
        for ((y, sum), x) in y.iter_mut().zip(sums).zip(x) {
            let tail = row[rest..].iter().zip(&x[rest..]).map(|(w, x)| w * x).sum::<f32>();
            *y = simd.reduce_sum_f32s(sum) + tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::numbers;

    #[test]
    fn few_rows_give_the_product() {
        for (m, outputs, inputs) in
            [(1, 1, 1), (1, 17, 40), (2, 9, 33), (3, 100, 576), (4, 64, 7), (1, 999, 100)]
        {
            let (x, w, bias) = (numbers(m * inputs, 1), numbers(outputs * inputs, 2), numbers(outputs, 3));
            let mut y = vec![f32::NAN; m * outputs];
            multiply(&Dense { weight: &w, inputs }, &x, inputs, Some(&bias), &mut y);
            for (at, &y) in y.iter().enumerate() {
                let (row, o) = (at / outputs, at % outputs);
                let terms =
                    (0..inputs).map(|i| f64::from(x[row * inputs + i]) * f64::from(w[o * inputs + i]));
                let error = (f64::from(y) - terms.sum::<f64>() - f64::from(bias[o])).abs();
                assert!(error < 2e-6 * (inputs as f64).sqrt(), "{m} x {inputs} x {outputs}: {error:e}");
            }
        }
    }
}
