//! Losses, written with operations that have a gradient.

use candle_core::{Result, Tensor};

use crate::ops::composed_cross_entropy;

/// Mean cross-entropy of `logits [b, c]` against classes `labels [b]`, both on one device.
///
/// `mean_i ( log Σ_j exp(z_ij − m_i) − (z_iy − m_i) )` with `m_i = max_j z_ij`, so that
/// no exponential overflows. The maximum is a constant to the gradient, which is
/// `(softmax(z_i) − onehot(y_i)) / b` either way.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    composed_cross_entropy(logits, labels)?.mean_all()
}

/// Mean binary cross-entropy of scores `[b, c]` against targets `[b, c]` of 0 and 1, through the sigmoid:
/// the mean of `max(z, 0) − z y + log(1 + exp(−|z|))`, in which no exponential overflows.
pub fn binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let rest = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    ((logits.relu()? - (logits * targets)?)? + rest)?.mean_all()
}

/// Mean of `(x − y)²`, both of one shape.
pub fn mean_squared_error(values: &Tensor, targets: &Tensor) -> Result<Tensor> {
    (values - targets)?.sqr()?.mean_all()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    const LOGITS: [[f32; 3]; 3] = [[1.0, -2.0, 0.5], [1e4, 0.0, -1e4], [-3.0, 88.0, 90.0]];
    const LABELS: [u32; 3] = [2, 0, 1];

    fn reference() -> (f64, Vec<f64>) {
        let (mut loss, mut gradient) = (0.0, Vec::new());
        for (row, &label) in LOGITS.iter().zip(&LABELS) {
            let row: Vec<f64> = row.iter().map(|&z| f64::from(z)).collect();
            let max = row.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|z| (z - max).exp()).sum();
            loss += (sum.ln() + max - row[label as usize]) / 3.0;
            gradient.extend(
                row.iter()
                    .zip(0..)
                    .map(|(z, class)| ((z - max).exp() / sum - f64::from(u8::from(class == label))) / 3.0),
            );
        }
        (loss, gradient)
    }

    #[test]
    fn value_and_gradient_equal_a_reference_in_double_precision() {
        let device = Device::Cpu;
        let logits = Var::new(&LOGITS, &device).expect("logits");
        let labels = Tensor::new(&LABELS, &device).expect("labels");
        let loss = cross_entropy(&logits, &labels).expect("a loss");
        let gradients = loss.backward().expect("gradients");
        let gradient = gradients.get(&logits).expect("a gradient").flatten_all().expect("flat");
        let (value, expected) = reference();
        assert!((f64::from(loss.to_scalar::<f32>().expect("a number")) - value).abs() < 1e-6);
        for (found, expected) in gradient.to_vec1::<f32>().expect("numbers").into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-7, "{found} is not {expected}");
        }
    }

    #[test]
    fn binary_cross_entropy_and_its_gradient_are_those_of_the_sigmoid() {
        let device = Device::Cpu;
        let (scores, truth) =
            ([[0.5_f32, -2.0, 90.0], [0.0, -90.0, 3.0]], [[1.0_f32, 0.0, 0.0], [1.0, 1.0, 1.0]]);
        let logits = Var::new(&scores, &device).expect("logits");
        let targets = Tensor::new(&truth, &device).expect("targets");
        let loss = binary_cross_entropy(&logits, &targets).expect("a loss");
        let gradients = loss.backward().expect("gradients");
        let gradient = gradients.get(&logits).expect("a gradient").to_vec2::<f32>().expect("numbers");
        let mut expected = 0.0;
        for (row, (scores, truth)) in scores.iter().zip(&truth).enumerate() {
            for (column, (&z, &y)) in scores.iter().zip(truth).enumerate() {
                let (z, y) = (f64::from(z), f64::from(y));
                // −log σ(z) = log(1 + exp(−z)); −log(1 − σ(z)) the same of −z.
                let side = if y > 0.5 { -z } else { z };
                expected += if side > 50.0 { side } else { side.exp().ln_1p() };
                let slope = (1.0 / (1.0 + (-z).exp()) - y) / 6.0;
                // At 0 the maximum has a corner, and candle takes the gradient 0 of it and of the amount.
                if z != 0.0 {
                    assert!((f64::from(gradient[row][column]) - slope).abs() < 1e-6);
                }
            }
        }
        let found = f64::from(loss.to_scalar::<f32>().expect("a number"));
        assert!((found - expected / 6.0).abs() < 1e-5, "{found}");
    }
}
