//! Measuring a learner on labelled examples.

use super::{
    Learner, TrainingError,
    batching::sorted_batches,
    learner::ExampleSet,
    metrics::{Confusion, argmax},
};
use crate::backbones::Mode;

/// Mean cross-entropy and confusion over a set of examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Mean cross-entropy.
    pub loss: f32,
    /// What was taken for what.
    pub confusion: Confusion,
}

/// Runs `learner` over `set`, without dropout.
pub fn measure<L: Learner>(
    learner: &L,
    set: &ExampleSet<L::Inputs>,
    batch_size: usize,
    mut progress: impl FnMut(usize),
) -> Result<Measurement, TrainingError> {
    let mut confusion = Confusion::default();
    let mut losses = vec![0.0; set.labels.len()];
    let mut done = 0;
    for rows in sorted_batches(&set.lengths, batch_size) {
        let logits = learner.logits(&set.inputs, &rows, Mode::Eval)?.to_vec2::<f32>()?;
        for (&row, scores) in rows.iter().zip(&logits) {
            let truth = set.labels[row];
            confusion.add(truth, argmax(scores));
            losses[row] = -log_softmax(scores)[truth as usize];
        }
        done += rows.len();
        progress(done);
    }
    let loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    Ok(Measurement { loss: loss as f32, confusion })
}

/// `z_j − log Σ_k exp z_k`, in double precision.
pub fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|&z| f64::from(z - max).exp()).sum();
    scores.iter().map(|&z| f64::from(z - max) - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_even_for_huge_scores() {
        let sum: f64 = log_softmax(&[1e30, 0.0, -1e30]).iter().map(|l| l.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        assert!((log_softmax(&[0.0, 0.0])[0] + 2.0_f64.ln()).abs() < 1e-12);
    }
}
