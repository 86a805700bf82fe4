//! Merging as a specification: golden values of PEFT and `adapters`, and properties.

mod baking;
mod extraction;
mod folders;
mod golden;
mod properties;

use super::{Factors, Matrix};

/// Numbers in -1..1 that look random and depend on the seed only.
fn noise(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Matrix::from_fn(rows, cols, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// A LoRA of a `[7, 9]` weight.
fn lora(rank: usize, scaling: f64, seed: u64) -> Factors {
    Factors::new(noise(rank, 9, seed), noise(7, rank, seed + 1000), scaling).expect("fits")
}

/// The largest magnitude of a difference.
#[track_caller]
fn distance(a: &Matrix, b: &Matrix) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.data().iter().zip(b.data()).fold(0.0, |worst, (a, b)| f64::max(worst, (a - b).abs()))
}

/// The update of factors that must be well-formed.
fn delta(factors: &Factors) -> Matrix {
    factors.delta().expect("multiplies")
}
