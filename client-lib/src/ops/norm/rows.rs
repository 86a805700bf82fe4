//! Rows and their norms, and the gradients of both sides.

use hub_kernels::{fresh, vectorised, vectorised_once};
use rayon::prelude::*;

use crate::ops::{element::Element, lanes, lanes3};

/// Rows per task.
const ROWS: usize = 32;

/// How rows are normalised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// What is added to the variance.
    pub(super) eps: f64,
    /// Whether the mean is taken away: not in an RMS norm.
    pub(super) centred: bool,
}

impl Rule {
    #[cfg(feature = "cuda")]
    pub(super) const fn sizes(self, width: usize) -> hub_kernels::cuda::NormSizes {
        hub_kernels::cuda::NormSizes { width, eps: self.eps, centred: self.centred }
    }

    /// The norm of every row of `x`, or of its sum with `residual`.
    pub(super) fn forward<T: Element>(
        self,
        x: &[T],
        residual: Option<&[T]>,
        [gamma, beta]: [&[T]; 2],
    ) -> Vec<T> {
        let h = gamma.len();
        sums(
            x,
            residual,
            h,
            #[inline(always)]
            |_, y| {
                for y in y.chunks_exact_mut(h) {
                    let (mean, rstd) = self.moments(y);
                    for ((y, &g), &b) in y.iter_mut().zip(gamma).zip(beta) {
                        *y = (*y - mean) * rstd * g + b;
                    }
                }
            },
        )
    }

    /// With `x̂ = (x − μ) / s`: `∂x = (g − mean(g) − x̂ · mean(g ⊙ x̂)) / s`, where `g = ∂y ⊙ γ`.
    pub(super) fn input_gradient<T: Element>(
        self,
        x: &[T],
        residual: Option<&[T]>,
        grad: &[T],
        gamma: &[T],
    ) -> Vec<T> {
        let h = gamma.len();
        sums(
            x,
            residual,
            h,
            #[inline(always)]
            |start, dx| {
                for (dx, grad) in dx.chunks_exact_mut(h).zip(grad[start..].chunks_exact(h)) {
                    self.gradient_row(dx, grad, gamma);
                }
            },
        )
    }

    /// `∂γ = Σ ∂y ⊙ x̂` over all rows, added in the same order on any number of cores.
    pub(super) fn gain_gradient<T: Element>(self, x: &[T], grad: &[T], width: usize) -> Vec<T> {
        let blocks = x.par_chunks(width * ROWS).zip(grad.par_chunks(width * ROWS));
        let parts: Vec<Vec<T>> = blocks
            .map(|(x, grad)| {
                let mut part = vec![T::zero(); width];
                vectorised(
                    #[inline(always)]
                    || {
                        for (x, grad) in x.chunks_exact(width).zip(grad.chunks_exact(width)) {
                            let (mean, rstd) = self.moments(x);
                            for ((sum, &x), &g) in part.iter_mut().zip(x).zip(grad) {
                                *sum += g * (x - mean) * rstd;
                            }
                        }
                    },
                );
                part
            })
            .collect();
        let mut sums = vec![T::zero(); width];
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        sums
    }

    /// `row` holds x and becomes ∂x.
    #[inline(always)]
    fn gradient_row<T: Element>(self, row: &mut [T], grad: &[T], gamma: &[T]) {
        let (mean, rstd) = self.moments(row);
        let n = T::constant(row.len() as f64);
        for x in row.iter_mut() {
            *x = (*x - mean) * rstd;
        }
        // Where no mean was subtracted, none has a gradient.
        let mean_g = if self.centred { lanes3(row, grad, gamma, |_, g, w| g * w) / n } else { T::zero() };
        let mean_gx = lanes3(row, grad, gamma, |x, g, w| g * w * x) / n;
        for ((x, &g), &w) in row.iter_mut().zip(grad).zip(gamma) {
            *x = (g * w - mean_g - *x * mean_gx) * rstd;
        }
    }

    /// Mean, or zero in an RMS norm, and `1 / √(variance + ε)`.
    #[inline(always)]
    fn moments<T: Element>(self, row: &[T]) -> (T, T) {
        let n = T::constant(row.len() as f64);
        let mean = if self.centred { lanes(row, |x| x) / n } else { T::zero() };
        let variance = lanes(row, |x| (x - mean) * (x - mean)) / n;
        (mean, T::one() / (variance + T::constant(self.eps)).sqrt())
    }
}

/// The sum of both, some rows of `width` at a time, each of them then changed by `change`, which gets the place of its first number.
fn sums<T: Element>(
    x: &[T],
    residual: Option<&[T]>,
    width: usize,
    change: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    fresh::vector(x.len(), width * ROWS, |part, rows| {
        let start = part.start;
        vectorised_once(
            #[inline(always)]
            || {
                let x = &x[part.clone()];
                let rows = match residual {
                    None => rows.copy(x),
                    Some(r) => rows.fill(x.iter().zip(&r[part]).map(|(&x, &r)| x + r)),
                };
                rows.then(|rows| change(start, rows))
            },
        )
    })
}
