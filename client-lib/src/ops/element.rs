//! What a kernel needs of its element type: f32 for work, f64 for proofs.

use candle_core::WithDType;
use num_traits::Float;

/// f32 or f64.
pub(crate) trait Element: WithDType + Float + std::iter::Sum {
    /// The error function. f32: within 5e-7 of the exact value; f64: to the last digits.
    fn erf(self) -> Self;
    /// `e^x`. f32: relative error below 2e-7; f64: to the last digits.
    fn exp_fast(self) -> Self;
    /// Converts a constant.
    fn constant(value: f64) -> Self;
    /// Numbers in single precision as this type's, where that is the same.
    fn of_single(_: &[f32]) -> Option<&[Self]> {
        None
    }
    /// The same slice where it is in single precision.
    fn as_single(_: &[Self]) -> Option<&[f32]> {
        None
    }
    /// The same slice where it is in single precision.
    fn as_single_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

impl Element for f64 {
    fn erf(self) -> Self {
        libm::erf(self)
    }
    fn exp_fast(self) -> Self {
        self.exp()
    }
    fn constant(value: f64) -> Self {
        value
    }
}

impl Element for f32 {
    #[inline(always)]
    fn erf(self) -> Self {
        erf_f32(self)
    }
    #[inline(always)]
    fn exp_fast(self) -> Self {
        exp_f32(self)
    }
    #[inline(always)]
    fn constant(value: f64) -> Self {
        value as Self
    }
    fn of_single(slice: &[f32]) -> Option<&[Self]> {
        Some(slice)
    }
    fn as_single(slice: &[Self]) -> Option<&[f32]> {
        Some(slice)
    }
    fn as_single_mut(slice: &mut [Self]) -> Option<&mut [f32]> {
        Some(slice)
    }
}

/// The rational minimax
/// approximation that Eigen and XLA use: odd polynomial over even polynomial on [-4, 4].
/// Branch-free, so that loops over it vectorise.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the coefficients as published")]
fn erf_f32(x: f32) -> f32 {
    const ODD: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_5e-5,
        -7.349_906_3e-4,
        -2.954_599_8e-3,
        -1.609_603_3e-2,
    ];
    const EVEN: [f32; 5] =
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_474_2e-2];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let p = ODD.iter().fold(0.0, |sum, &c| sum * square + c);
    let q = EVEN.iter().fold(0.0, |sum, &c| sum * square + c);
    x * p / q
}

/// Range reduction to `2^n · e^r` with `|r| ≤ ln 2 / 2`, then the Taylor polynomial of
/// degree 7. Branch-free; arguments below -87.3 give zero, above 88.7 infinity.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 split in two, so that n·ln 2 is exact to single precision and beyond.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const TAYLOR: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    // Adding and taking away 1.5·2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.7);
    let n = (clamped * LOG2_E + ROUND) - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let e_r = TAYLOR.iter().fold(0.0, |sum, &c| sum * r + c);
    // Two factors: 2^128 alone would overflow.
    let half = (n as i32) >> 1;
    let power = |k: i32| f32::from_bits(((k + 127) as u32) << 23);
    let result = e_r * power(half) * power(n as i32 - half);
    let result = if x < -87.3 { 0.0 } else { result };
    if x.is_nan() { x } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_is_close_to_the_exact_function_everywhere() {
        let worst = (-600_000..=600_000)
            .map(|i| f64::from(i) * 1e-5)
            .map(|x| (f64::from(erf_f32(x as f32)) - libm::erf(f64::from(x as f32))).abs())
            .fold(0.0, f64::max);
        assert!(worst < 5e-7, "worst error {worst:e}");
    }

    #[test]
    fn exp_is_close_to_the_exact_function_and_ends_in_zero() {
        let worst = (-87_000..=88_000)
            .map(|i| f64::from(i) * 1e-3)
            .map(|x| (f64::from(exp_f32(x as f32)) / f64::from(x as f32).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 2e-7, "worst relative error {worst:e}");
        assert!(exp_f32(f32::NEG_INFINITY) == 0.0 && exp_f32(-1e30) == 0.0);
        assert!(exp_f32(f32::NAN).is_nan());
    }
}
