//! The weights that adapters are merged with.

use super::MergeError;

/// The weights, scaled to a sum of one when asked. Refuses an empty list, numbers
/// that are not finite, and a sum of zero.
pub(super) fn checked_weights(weights: &[f64], normalise: bool) -> Result<Vec<f64>, MergeError> {
    if weights.is_empty() {
        return Err(MergeError::Empty);
    }
    if let Some(index) = weights.iter().position(|weight| !weight.is_finite()) {
        return Err(MergeError::Weight { index: index + 1, weight: weights[index] });
    }
    if !normalise {
        return Ok(weights.to_vec());
    }
    let sum: f64 = weights.iter().sum();
    let scaled: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
    if scaled.iter().all(|weight| weight.is_finite()) {
        Ok(scaled)
    } else {
        Err(MergeError::Normalise { weights: weights.to_vec(), sum })
    }
}
