//! From scores to probabilities and choices, in double precision.

/// `z_j − log Σ_k exp z_k`, in double precision.
pub fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|&z| f64::from(z - max).exp()).sum();
    let norm = f64::from(max) + sum.ln();
    scores.iter().map(|&z| f64::from(z) - norm).collect()
}

/// The class with the highest score; the first of equals.
pub fn argmax(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best as u32
}

/// `1 / (1 + exp(−z))`.
pub(super) fn sigmoid(score: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(score)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_even_for_huge_scores() {
        let sum: f64 = log_softmax(&[1e30, 0.0, -1e30]).iter().map(|l| l.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!((log_softmax(&[0.0, 0.0])[0] + 2.0_f64.ln()).abs() < 1e-12);
        let sum: f64 = log_softmax(&[3.0, -1.0, 0.5, 900.0]).into_iter().map(f64::exp).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_first_of_equal_scores_wins() {
        assert_eq!(argmax(&[0.5, 2.0, 2.0]), 1);
    }
}
