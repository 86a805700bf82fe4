//! Training a head alone, on the frozen backbone.
//!
//! Nothing below the head changes, so every example's features are computed once
//! and each epoch costs almost nothing. It is exact, not an approximation: the
//! features are what the whole model would compute in every step.

use candle_core::Tensor;

use super::{
    Learner, TrainingError,
    batching::sorted_batches,
    learner::ExampleSet,
    observer::{TrainingEvent, TrainingObserver},
};
use crate::{
    backbones::Mode,
    heads::Prediction,
    inputs::{Input, InputEncoder},
    model::StitchedModel,
    params::Parameters,
};

/// The head of a model, reading features `[n, h]`.
#[derive(Debug)]
pub struct HeadOnly<'a> {
    /// The model.
    pub model: &'a StitchedModel,
}

impl Learner for HeadOnly<'_> {
    type Inputs = Tensor;

    fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    fn predict(
        &self,
        set: &ExampleSet<Tensor>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<Prediction, TrainingError> {
        let features = &set.inputs;
        let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        let rows = Tensor::new(rows, features.device())?;
        let scores = self.model.logits(&features.index_select(&rows, 0)?, mode)?;
        scores.map(Prediction::Scores).ok_or(TrainingError::NoHead)
    }
}

/// What the head reads of every example, computed once.
pub fn features(
    model: &StitchedModel,
    encoder: &InputEncoder,
    set: &ExampleSet<Vec<Input>>,
    batch_size: usize,
    observer: &mut dyn TrainingObserver,
) -> Result<ExampleSet<Tensor>, TrainingError> {
    let device = model.backbone().device();
    let total = set.rows();
    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); total];
    let mut done = 0;
    for batch in sorted_batches(&set.lengths, batch_size) {
        let tokens: Vec<&Input> = batch.iter().map(|&row| &set.inputs[row]).collect();
        let pooled = model.pooled(&encoder.batch(&tokens, device)?)?.ok_or(TrainingError::NoHead)?;
        let pooled = pooled.to_vec2::<f32>()?;
        done += batch.len();
        for (row, values) in batch.into_iter().zip(pooled) {
            rows[row] = values;
        }
        observer.on(&TrainingEvent::Features { done, total });
    }
    let width = rows.first().map_or(0, Vec::len);
    let inputs = Tensor::from_vec(rows.concat(), (total, width), device)?;
    Ok(ExampleSet { inputs, lengths: vec![1; total], expected: set.expected.clone() })
}
