//! Measuring a learner on a data set.

use super::{Learner, TrainingError, batching::sorted_batches, learner::ExampleSet};
use crate::{backbones::Mode, metrics::Scores, tasks::Reading};

/// Mean loss and scores over a set of examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Mean loss.
    pub loss: f32,
    /// How good the answers are.
    pub scores: Scores,
}

/// Runs `learner` over `set`, without dropout; `progress` hears how many rows are done.
pub fn measure<L: Learner>(
    learner: &L,
    set: &ExampleSet<L::Inputs>,
    batch_size: usize,
    mut progress: impl FnMut(usize),
) -> Result<Measurement, TrainingError> {
    let mut readings: Vec<Option<Reading>> = vec![None; set.rows()];
    let mut done = 0;
    for rows in sorted_batches(&set.lengths, batch_size) {
        let prediction = learner.predict(set, &rows, Mode::Eval)?;
        for (&row, reading) in rows.iter().zip(set.expected.read(&prediction, &rows)?) {
            readings[row] = Some(reading);
        }
        done += rows.len();
        progress(done);
    }
    let readings: Vec<Reading> = readings.into_iter().flatten().collect();
    let weight = readings.iter().map(|reading| reading.weight).sum::<f64>();
    let loss =
        readings.iter().map(|reading| reading.loss).sum::<f64>() / if weight > 0.0 { weight } else { 1.0 };
    let answers = set.expected.answers(readings.into_iter().map(|reading| reading.predicted).collect());
    Ok(Measurement { loss: loss as f32, scores: set.expected.scores(&answers) })
}
