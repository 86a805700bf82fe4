//! What a kernel needs of its element type: f32 for work, f64 for proofs.

use candle_core::WithDType;
use num_traits::Float;

/// f32 or f64.
pub(crate) trait Element: WithDType + Float + std::iter::Sum {
    /// The error function. f32: within 1e-7 of the exact value; f64: to the last digits.
    fn erf(self) -> Self;
    /// `e^x`. f32: relative error below 2e-7; f64: to the last digits.
    fn exp_fast(self) -> Self;
    /// Converts a constant.
    fn constant(value: f64) -> Self;
    /// Numbers in single precision as this type's, where that is the same.
    fn of_single(_: &[f32]) -> Option<&[Self]> {
        None
    }
    /// The same where they are written.
    fn of_single_mut(_: &mut [f32]) -> Option<&mut [Self]> {
        None
    }
    /// The same slice where it is in single precision.
    fn as_single(_: &[Self]) -> Option<&[f32]> {
        None
    }
    /// Numbers in single precision as this type's, where that is the same.
    fn from_singles(_: Vec<f32>) -> Option<Vec<Self>> {
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
    fn of_single_mut(slice: &mut [f32]) -> Option<&mut [Self]> {
        Some(slice)
    }
    fn as_single(slice: &[Self]) -> Option<&[f32]> {
        Some(slice)
    }
    fn from_singles(numbers: Vec<f32>) -> Option<Vec<Self>> {
        Some(numbers)
    }
    fn as_single_mut(slice: &mut [Self]) -> Option<&mut [f32]> {
        Some(slice)
    }
}

/// In two pieces, as Cody (1969) divides it: `x + x P(x²)` up to one, `1 − e^−Q(|x|)` beyond. `P` and `Q` were fitted to
/// the exact function in double precision, by least squares whose weights were moved towards the largest error. Both pieces
/// are computed and one is taken, so that loops over it vectorise.
#[inline(always)]
fn erf_f32(x: f32) -> f32 {
    const P: [f32; 7] = [
        7.647_132e-5,
        -7.942_361_4e-4,
        5.179_750_4e-3,
        -2.684_859_2e-2,
        1.128_343_05e-1,
        -3.761_260_5e-1,
        1.283_791_5e-1,
    ];
    const Q: [f32; 8] = [
        2.168_685e-5,
        -4.413_363_6e-4,
        4.204_562e-3,
        -2.520_825_7e-2,
        1.084_185_8e-1,
        6.332_199e-1,
        1.129_578_5,
        -1.880_402_3e-4,
    ];
    // From four on it is one to the last digit.
    let distance = x.abs().min(4.0);
    let square = distance * distance;
    let near = distance + distance * P.iter().fold(0.0, |sum, &c| sum * square + c);
    let far = 1.0 - exp_f32(-Q.iter().fold(0.0, |sum, &c| sum * distance + c));
    let value = if distance <= 1.0 { near } else { far };
    if x.is_nan() { x } else { value.copysign(x) }
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
    // Adding and taking away 1.5·2^23 rounds to the nearest integer, which stands in the last bits meanwhile: a
    // conversion would look for what does not fit.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.7);
    let shifted = clamped * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let k = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let e_r = TAYLOR.iter().fold(0.0, |sum, &c| sum * r + c);
    // Two factors: 2^128 alone would overflow.
    let half = k >> 1;
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
    let result = e_r * power(half) * power(k.wrapping_sub(half));
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
        assert!(worst < 1e-7, "worst error {worst:e}");
        assert!(erf_f32(f32::NAN).is_nan());
        let ends = [f32::NEG_INFINITY, -0.0, 9.0].map(|x| erf_f32(x).to_bits());
        assert_eq!(ends, [-1.0_f32, -0.0, 1.0].map(f32::to_bits));
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
