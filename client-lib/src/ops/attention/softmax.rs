//! Rows of scores as probabilities, and back.

use hub_kernels::vectorised;

use super::super::{element::Element, lanes, lanes3, largest};

/// The same for a decoder, where a query that sees no key at all gets nothing: what
/// PyTorch's attention gives for the padding on the left.
pub(super) fn causal_softmax<T: Element>(row: &mut [T], bias: &[f32]) {
    if bias.iter().all(|&b| b == f32::NEG_INFINITY) {
        row.fill(T::zero());
    } else {
        softmax(row, Some(bias));
    }
}

/// Softmax over the keys with what the mask adds; hidden ones get zero. With none visible
/// every key gets the same weight, as an additive mask of the most negative number gives.
pub(super) fn softmax<T: Element>(row: &mut [T], bias: Option<&[f32]>) {
    if bias.is_some_and(|bias| bias.iter().all(|&b| b == f32::NEG_INFINITY)) {
        return row.fill(T::one() / T::constant(row.len() as f64));
    }
    vectorised(
        #[inline(always)]
        || {
            if let Some(bias) = bias {
                for (x, &b) in row.iter_mut().zip(bias) {
                    *x += T::constant(f64::from(b));
                }
            }
            let max = largest(row);
            for x in row.iter_mut() {
                *x = (*x - max).exp_fast();
            }
            let inverse = T::one() / lanes(row, |x| x);
            for x in row.iter_mut() {
                *x *= inverse;
            }
        },
    );
}

/// `c · tanh(s / c)` of every score `s`.
pub(super) fn soft_cap<T: Element>(scores: &mut [T], cap: T) {
    for score in scores {
        *score = cap * (*score / cap).tanh();
    }
}

/// `ds` holds the gradient of the bounded scores and becomes that of `scores`.
pub(super) fn soft_cap_gradient<T: Element>(ds: &mut [T], scores: &[T], cap: T) {
    for (ds, &score) in ds.iter_mut().zip(scores) {
        let bounded = (score / cap).tanh();
        *ds *= T::one() - bounded * bounded;
    }
}

/// `ds` holds ∂p and becomes ∂s, row by row.
pub(super) fn softmax_gradient<T: Element>(ds: &mut [T], p: &[T], keys: usize) {
    vectorised(
        #[inline(always)]
        || {
            for (ds, p) in ds.chunks_exact_mut(keys).zip(p.chunks_exact(keys)) {
                let dot = lanes3(ds, p, p, |d, p, _| d * p);
                for (ds, &p) in ds.iter_mut().zip(p) {
                    *ds = p * (*ds - dot);
                }
            }
        },
    );
}
