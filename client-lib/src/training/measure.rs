//! Measuring a learner on labelled examples.

use super::{Learner, TrainingError, batching::sorted_batches, learner::ExampleSet, metrics::Confusion};
use crate::{
    backbones::Mode,
    predict::{argmax, log_softmax},
};

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
