//! The cosine of the angle between two vectors, for a step with its gradient and for a measurement.

use candle_core::{D, Result, Tensor};

/// A length counts as this at least, as in PyTorch's `cosine_similarity`.
const SHORTEST: f64 = 1e-8;

/// The cosines `[n]` of vectors `x [n, h]` and `y [n, h]`: `x · y / (max(‖x‖₂, 10⁻⁸) max(‖y‖₂, 10⁻⁸))`.
///
/// The bound stands under the root, whose gradient at zero is none.
pub fn cosine_similarity(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let length = |x: &Tensor| x.sqr()?.sum(D::Minus1)?.maximum(SHORTEST * SHORTEST)?.sqrt();
    let product = (x * y)?.sum(D::Minus1)?;
    product / (length(x)? * length(y)?)?
}

/// The same of two vectors, in double precision.
pub fn cosine(x: &[f32], y: &[f32]) -> f64 {
    let product =
        |x: &[f32], y: &[f32]| -> f64 { x.iter().zip(y).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    let length = |x: &[f32]| product(x, x).sqrt().max(SHORTEST);
    product(x, y) / (length(x) * length(y))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::tasks::mean_squared_error;

    const X: [[f64; 3]; 3] = [[1.0, -2.0, 0.5], [0.3, 0.1, -0.7], [2.0, 2.0, 1.0]];
    const Y: [[f64; 3]; 3] = [[-0.5, 1.0, 2.0], [0.6, 0.2, -1.4], [-2.0, -2.0, -1.0]];

    fn flat(values: &[[f64; 3]; 3]) -> Vec<f64> {
        values.iter().flatten().copied().collect()
    }

    #[test]
    fn it_is_one_of_vectors_that_point_the_same_way() {
        let tensor = |values: &[[f64; 3]; 3]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        let found = cosine_similarity(&tensor(&X), &tensor(&Y)).and_then(|x| x.to_vec1::<f64>());
        let found = found.expect("numbers");
        let first = -1.5 / (5.25_f64.sqrt() * 5.25_f64.sqrt());
        for (found, expected) in found.iter().zip([first, 1.0, -1.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
        for ((x, y), expected) in X.iter().zip(&Y).zip(&found) {
            let single = |x: &[f64; 3]| x.map(|number| number as f32);
            assert!((cosine(&single(x), &single(y)) - expected).abs() < 1e-7);
        }
    }

    #[test]
    fn the_gradient_of_its_loss_equals_finite_differences() {
        let device = Device::Cpu;
        let truth = Tensor::new(&[0.9_f64, 0.2, -0.4], &device).expect("scores");
        let y = Tensor::new(&Y, &device).expect("vectors");
        let loss = |x: &Tensor| mean_squared_error(&cosine_similarity(x, &y)?, &truth);
        let x = Var::new(&X, &device).expect("vectors");
        let gradients = loss(&x).and_then(|loss| loss.backward()).expect("gradients");
        let gradient = gradients.get(&x).expect("a gradient").flatten_all().expect("flat");
        for (place, found) in gradient.to_vec1::<f64>().expect("numbers").into_iter().enumerate() {
            let moved = |by: f64| {
                let mut values = flat(&X);
                values[place] += by;
                let x = Tensor::from_vec(values, (3, 3), &device).expect("vectors");
                loss(&x).and_then(|loss| loss.to_scalar::<f64>()).expect("a number")
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((found - expected).abs() < 1e-8, "{place}: {found} is not {expected}");
        }
    }

    #[test]
    fn a_vector_without_a_length_has_no_gradient_that_is_no_number() {
        let x = Var::zeros((1, 3), candle_core::DType::F64, &Device::Cpu).expect("a vector");
        let y = Tensor::new(&[[1.0_f64, 2.0, 3.0]], &Device::Cpu).expect("a vector");
        let cosines = cosine_similarity(&x, &y).expect("a cosine");
        assert_eq!(cosines.to_vec1::<f64>().expect("numbers"), [0.0]);
        let gradients = cosines.sum_all().and_then(|x| x.backward()).expect("gradients");
        let gradient = gradients.get(&x).expect("a gradient").to_vec2::<f64>().expect("numbers");
        assert!(gradient[0].iter().all(|number| number.is_finite()), "{gradient:?}");
    }
}
