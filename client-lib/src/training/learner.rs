//! What the training loop trains: something with parameters that answers examples.
//!
//! Three kinds exist: a whole [`StitchedModel`](crate::model::StitchedModel), what of it stands above frozen blocks that
//! ran once (`frozen.rs`), and a head alone on features that the frozen backbone computed once (`probe.rs`).

use std::sync::Arc;

use candle_core::Tensor;

use super::TrainingError;
use crate::{
    backbones::{Batch, Mode},
    heads::Prediction,
    inputs::{Input, InputEncoder},
    model::{Cut, StitchedModel},
    params::Parameters,
    tasks::{Encoded, Expected},
};

/// Something with parameters that answers examples.
pub trait Learner {
    /// The examples of a data set, in a form this learner reads.
    type Inputs;

    /// What is trained.
    fn parameters(&self) -> &Parameters;

    /// Whether a step may leave parameters out: then one that no gradient reaches is no mistake.
    fn leaves_out(&self) -> bool {
        false
    }

    /// What training adds to the loss besides the examples' own: a scalar.
    fn penalty(&self) -> Result<Option<Tensor>, TrainingError> {
        Ok(None)
    }

    /// What the head gives for some of the rows.
    fn predict(
        &self,
        set: &ExampleSet<Self::Inputs>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<Prediction, TrainingError>;

    /// The same in a step of training, and what is left of its backward beyond what the prediction's own graph has.
    fn predict_in_step(
        &self,
        set: &ExampleSet<Self::Inputs>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<(Prediction, Option<Cut<'_>>), TrainingError> {
        Ok((self.predict(set, rows, mode)?, None))
    }
}

/// Examples as rows that can be put into batches.
#[derive(Debug)]
pub struct ExampleSet<I> {
    /// What the learner reads.
    pub inputs: I,
    /// What each row costs: its number of tokens, or 1 where all cost the same.
    pub lengths: Vec<usize>,
    /// What the rows should be answered with.
    pub expected: Arc<dyn Expected>,
}

impl<I> ExampleSet<I> {
    /// How many rows: at least as many as examples.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }
}

impl From<Encoded> for ExampleSet<Vec<Input>> {
    fn from(encoded: Encoded) -> Self {
        let lengths = encoded.inputs.iter().map(Input::len).collect();
        Self { inputs: encoded.inputs, lengths, expected: encoded.expected }
    }
}

/// Adapter, head and the backbone around them.
#[derive(Debug, Clone, Copy)]
pub struct WholeModel<'a> {
    /// The model.
    pub model: &'a StitchedModel,
    /// Builds its batches.
    pub encoder: &'a InputEncoder,
    /// Whether a step computes blocks twice instead of keeping what is inside of them.
    pub recomputes: bool,
}

impl<'a> WholeModel<'a> {
    /// A model that keeps what a step needs.
    pub fn new(model: &'a StitchedModel, encoder: &'a InputEncoder) -> Self {
        Self { model, encoder, recomputes: false }
    }

    fn batch(
        &self,
        set: &ExampleSet<Vec<Input>>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<Batch, TrainingError> {
        let device = self.model.backbone().device();
        if let Some(altered) = set.expected.altered(rows, mode) {
            return Ok(altered.batch(self.encoder, device)?);
        }
        let rows: Vec<&Input> = rows.iter().map(|&row| &set.inputs[row]).collect();
        Ok(self.encoder.batch(&rows, device)?)
    }

    pub(super) fn run(&self, batch: &Batch, mode: Mode) -> Result<Prediction, TrainingError> {
        self.model.forward(batch, mode)?.prediction.ok_or(TrainingError::NoHead)
    }

    pub(super) fn step(
        &self,
        batch: Batch,
        mode: Mode,
    ) -> Result<(Prediction, Option<Cut<'a>>), TrainingError> {
        if !self.recomputes {
            return Ok((self.run(&batch, mode)?, None));
        }
        let (output, cut) = self.model.forward_in_pieces(batch, mode)?;
        Ok((output.prediction.ok_or(TrainingError::NoHead)?, Some(cut)))
    }
}

impl Learner for WholeModel<'_> {
    type Inputs = Vec<Input>;

    fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    fn leaves_out(&self) -> bool {
        self.model.drops_layers()
    }

    fn penalty(&self) -> Result<Option<Tensor>, TrainingError> {
        Ok(self.model.regularisation()?)
    }

    fn predict(
        &self,
        set: &ExampleSet<Vec<Input>>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<Prediction, TrainingError> {
        self.run(&self.batch(set, rows, mode)?, mode)
    }

    fn predict_in_step(
        &self,
        set: &ExampleSet<Vec<Input>>,
        rows: &[usize],
        mode: Mode,
    ) -> Result<(Prediction, Option<Cut<'_>>), TrainingError> {
        self.step(self.batch(set, rows, mode)?, mode)
    }
}
